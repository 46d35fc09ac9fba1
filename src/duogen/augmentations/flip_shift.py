"""The small changes that leave a picture what it is."""

import torch
from torch import Tensor

from duogen.augmentations.augmentation import Augmentation, require_share
from duogen.augmentations.chance import integers, met
from duogen.augmentations.places import pick, reflected
from duogen.errors import UserError


class FlipShift(Augmentation):
    """Mirrors an image left to right with a probability, and moves it by whole pixels, its edges reflected.

    Raises `UserError` for numbers out of range.
    Source: Zhang et al. 2020 (CR-GAN), which flips and shifts by a few pixels.

    Args:
        flip: probability of the mirror image, in [0, 1]; 0 where left and right mean something, as in digits.
        shift: the farthest move along each side, in pixels, >= 0.
    """

    def __init__(self, flip: float, shift: int) -> None:
        super().__init__()
        require_share("FlipShift", flip=flip)
        if shift < 0:
            raise UserError(f"FlipShift: shift={shift}", "whole pixels, 0 or more", "e.g. shift=4")
        self.flip, self.shift = flip, shift

    def changed(self, images: Tensor, step: int) -> Tensor:
        height, width = images.shape[2:]
        down, right = (integers(images, 2 * self.shift + 1).long().unsqueeze(1) - self.shift for _ in range(2))
        columns = torch.arange(width, device=images.device)
        columns = torch.where(met(images, self.flip).unsqueeze(1), width - 1 - columns, columns)
        rows = torch.arange(height, device=images.device) + down
        rows, columns = reflected(rows, height), reflected(columns + right, width)
        return pick(images, rows.unsqueeze(2), columns.unsqueeze(1))
