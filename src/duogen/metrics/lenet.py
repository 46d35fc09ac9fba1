"""Features of a small classifier of the very data that a generator learns."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duogen.errors import UserError, nearest
from duogen.metrics.extractor import Extracted
from duogen.metrics.pretrained import Pretrained, Weights, found

SHIPPED = Path(__file__).parent / "weights"
AUTO = "auto"
PIXELS = "use extractor=pixels"


class LenetClassifier(nn.Module):
    """A convolutional classifier of images (C, H, W) whose penultimate layer has 84 units.

    k = max(2, floor(log2(min(H, W) / 3))) times: a convolution to 16, 32, 48, ... channels, 5x5 first and 3x3 after,
    batch norm, ReLU and a 2x2 maximum; then a linear layer to 84 with ReLU, and one to the classes. After LeCun et al.
    1998 (LeNet-5), section II.B, with batch norm and maxima.

    Raises:
        UserError: no image, a side below 4, or fewer than two classes.
    """

    width = 84

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise UserError(f"extractor=lenet for shape {list(shape)}", "images (C, H, W) with sides >= 4", PIXELS)
        if classes < 2:
            raise UserError(f"extractor=lenet for {classes} class(es)", "2 or more", PIXELS)
        levels = max(2, (min(shape[1:]) // 3).bit_length() - 1)
        widths = [shape[0], *(16 * level for level in range(1, levels + 1))]
        self.layers = nn.Sequential()
        for level, (inputs, outputs) in enumerate(pairwise(widths)):
            size = 3 if level else 5
            self.layers.extend(
                [
                    nn.Conv2d(inputs, outputs, size, padding=size // 2),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(),
                    nn.MaxPool2d(2),
                ]
            )
        area = (shape[1] >> levels) * (shape[2] >> levels)
        self.penultimate = nn.Linear(widths[-1] * area, self.width)
        self.output = nn.Linear(self.width, classes)

    def forward(self, values: Tensor) -> Extracted:
        """(N, C, H, W) in [-1, 1] to features (N, 84), >= 0, and logits (N, classes)."""
        features = self.penultimate(self.layers(values).flatten(1)).relu()
        return Extracted(features, self.output(features))


class Lenet(Pretrained):
    """The 84 penultimate activations, after ReLU, and the class logits of a small classifier.

    Examples (N, C, H', W') of another height or width than the classifier's are resized to it, bilinearly with
    antialias; those of another number of channels are refused.

    Args:
        shape: (C, H, W) of the images that the classifier was trained on.
        classes: how many it tells apart.
        weights: the name of shipped weights, `mnist`, `fashion_mnist` or `digits`; the path of a file; or `auto`, which
            a run replaces by weights for its own data before it builds anything.

    Raises:
        UserError: data without classes, no such weights, or weights of another shape or number of classes; at the first
            batch, one of another number of channels, or weights that are still `auto`.
    """

    name = "lenet"
    feature_dim = LenetClassifier.width
    chunk = 1000

    def __init__(self, shape: Sequence[int], classes: int | None, weights: str) -> None:
        super().__init__()
        if classes is None:
            raise UserError("extractor=lenet for data without labels", "data with classes", PIXELS)
        self.shape, self.classes = tuple(shape), classes
        self._classifier = partial(LenetClassifier, self.shape, classes)
        with torch.device("meta"):
            self._classifier()
        self.weights = None if weights == AUTO else _located(weights)
        self.facts = self._checked(self.weights) if self.weights else {}

    def prepare(self, values: Tensor) -> Tensor:
        if values.shape[1] != self.shape[0]:
            given = f"extractor=lenet was given examples of shape {tuple(values.shape[1:])}"
            raise UserError(given, f"{self.shape}, or another height and width", "use the weights of such data")
        size = self.shape[1:]
        if tuple(values.shape[2:]) == size:
            return values
        return F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True)

    def blank(self) -> nn.Module:
        return self._classifier()

    def state(self) -> Mapping[str, Tensor]:
        if self.weights is None:
            given = "extractor.weights=auto was never replaced by weights for the data"
            raise UserError(
                given, ", ".join([*shipped(), "the path of a file"]), "name weights, or let a run train them"
            )
        return self.weights.content()["state"]

    def protocol(self) -> dict[str, Any]:
        channels, height, width = self.shape
        return {
            "name": self.name,
            "space": f"{self.feature_dim} penultimate activations, after ReLU",
            "input": [channels, height, width],
            "quantised": False,
            "resize": f"bilinear with antialias to {height}x{width}, where the size differs",
            "weights_sha256": self.weights.sha256 if self.weights else None,
            **{fact: self.facts.get(fact) for fact in ("accuracy", "data_sha256")},
        }

    def _checked(self, weights: Weights) -> dict[str, Any]:
        try:
            facts = {name: value for name, value in weights.content().items() if name != "state"}
            trained = tuple(facts["shape"]), facts["classes"]
        except Exception as error:
            given = f"extractor.weights={weights.path} cannot be read: {error}"
            raise UserError(given, "a file that duogen wrote", "use extractor.weights=auto") from error
        if trained != (self.shape, self.classes):
            given = f"extractor.shape={list(self.shape)} and classes={self.classes} for {weights.path.name}"
            allowed = f"shape={list(trained[0])} and classes={trained[1]}, on which the weights were trained"
            remedy = f"use extractor.shape={list(trained[0])} extractor.classes={trained[1]}, or other weights"
            raise UserError(given, allowed, remedy)
        return facts


def shipped() -> list[str]:
    """The names of the weights that come with duogen."""
    return sorted(path.stem for path in SHIPPED.glob("*.pt"))


def _located(weights: str) -> Weights:
    names = shipped()
    path = str(SHIPPED / f"{weights}.pt") if weights in names else weights
    allowed = ", ".join([*nearest(weights, names), AUTO, "the path of a file"])
    return found(path, None, allowed, "name one of these")
