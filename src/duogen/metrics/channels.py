"""An extractor of single-channel images, applied to every channel of an image."""

from typing import Any

from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.extractor import Extracted, Extractor

MOST_CLASSES = 100_000


class PerChannel(Extractor):
    """The features of each of C channels side by side, and the logits of the C classes together.

    Features (N, C F). The joint class of the classes c_1 ... c_C is the number that they spell in base K, and its logit
    the sum of theirs, so that its probability is their product: (N, K^C), 1,000 classes for three digits.

    `extractor`: of images (1, H, W); `channels`: C >= 1. Raises UserError for an extractor without classes, and for
    more than 100,000 joint classes.
    """

    def __init__(self, extractor: Extractor, channels: int) -> None:
        super().__init__()
        if extractor.classes is None:
            raise classless("PerChannel", extractor)
        if channels < 1 or extractor.classes**channels > MOST_CLASSES:
            given = f"{channels} channels of {extractor.classes} classes each"
            raise UserError(given, f"1 to {MOST_CLASSES} classes together", "classify whole images: channels=false")
        self.extractor, self.channels = extractor, channels
        self.name, self.classes = extractor.name, extractor.classes**channels
        self.feature_dim = channels * extractor.feature_dim
        self.eval()

    def forward(self, values: Tensor) -> Extracted:
        seen = self.extractor(values.flatten(0, 1).unsqueeze(1))
        assert seen.logits is not None
        logits = seen.logits.unflatten(0, (-1, self.channels)).float().log_softmax(2)
        joint = logits[:, 0]
        for channel in logits.unbind(1)[1:]:
            joint = (joint[:, :, None] + channel[:, None, :]).flatten(1)
        return Extracted(seen.features.unflatten(0, (-1, self.channels)).flatten(1), joint)

    def protocol(self) -> dict[str, Any]:
        return self.extractor.protocol() | {"channels": f"each of {self.channels} for itself"}


def classless(name: str, extractor: Extractor) -> UserError:
    """The refusal of an extractor that tells no classes apart."""
    return UserError(
        f"{name} was given extractor={extractor.name}, which has no classes",
        "an extractor that classifies, such as lenet or inception",
        "use extractor=lenet, or leave the metric out",
    )
