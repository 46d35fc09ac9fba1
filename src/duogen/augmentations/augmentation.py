"""What an augmentation of the discriminator's input offers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from duogen.errors import UserError
from duogen.records import Opinion


class Augmentation(nn.Module, ABC):
    """A random, differentiable change of images on their device, applied to real and generated ones in both turns.

    It can be differentiated twice, since penalties are taken at the raw image, through it. One that `reacts` has
    registered buffers, which `react` updates after each of the discriminator's turns.
    """

    reacts: ClassVar[bool] = False

    def forward(self, images: Tensor, step: int) -> Tensor:
        """(N, C, H, W) in [-1, 1] to the same shape, by fresh random numbers; `step` is that of the run, from 0.

        Half precision may become float32. Raises `UserError` for anything but images.
        """
        if images.ndim != 4:
            given = f"{type(self).__name__}: examples of shape {tuple(images.shape[1:])}"
            raise UserError(given, "images (C, H, W)", "use augmentation=none, or data of images")
        return self.changed(images, step)

    @abstractmethod
    def changed(self, images: Tensor, step: int) -> Tensor:
        """Images (N, C, H, W) as they are augmented at a step."""

    def observe(self) -> Mapping[str, Tensor]:
        """What is worth recording of a discriminator's turn, by name, 0-d."""
        return {}

    def react(self, opinion: Opinion) -> None:
        """Updates the buffers after one of the discriminator's turns."""


def require_share(augmentation: str, **shares: float) -> None:
    """Raises `UserError` for a number outside [0, 1]."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UserError(f"{augmentation}: {name}={share}", "a share: 0 to 1", f"set {name}, for example to 0.5")
