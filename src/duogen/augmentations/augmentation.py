"""What an augmentation of the discriminator's input offers."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from duogen.records import Opinion


class Augmentation(nn.Module, ABC):
    """A random, differentiable change of images on their device, applied to real and generated ones in both turns.

    It can be differentiated twice, since penalties are taken at the raw image, through it. One that `reacts` has
    registered buffers, which `react` updates after each of the discriminator's turns.
    """

    reacts: ClassVar[bool] = False

    @abstractmethod
    def forward(self, images: Tensor, step: int) -> Tensor:
        """(N, C, H, W) in [-1, 1] to the same shape, by fresh random numbers; `step` is that of the run, from 0."""

    def react(self, opinion: Opinion) -> None:
        """Updates the buffers after one of the discriminator's turns."""
