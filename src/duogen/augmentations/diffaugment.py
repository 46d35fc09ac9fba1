"""Differentiable augmentation with a fixed strength."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from duogen.augmentations.augmentation import Augmentation, require_share
from duogen.augmentations.chance import integers, uniform
from duogen.augmentations.places import erased, pick


class DiffAugment(Augmentation):
    """Changes every image: its colours, its place, and a hole, in this order.

    Colours: b = x + U(-0.5, 0.5), then x' = m + U(0, 2) (b - m) about the mean m over channels, then contrast
    M + U(0.5, 1.5) (x' - M) about the mean M of the image. Raises `UserError` for a share outside [0, 1].
    Source: Zhao et al. 2020 (DiffAugment), section 3, with the order of the authors' code.

    Args:
        color: whether brightness, saturation and contrast change.
        translation: the farthest move along each side, as a share of it, in whole pixels; zeros move in. Paper: 1/8.
        cutout: height and width of the hole, as shares of the image's, 0 for none; the hole is 0. Paper: 1/2.
    """

    def __init__(self, color: bool, translation: float, cutout: float) -> None:
        super().__init__()
        require_share("DiffAugment", translation=translation, cutout=cutout)
        self.color, self.translation, self.cutout = color, translation, cutout

    def changed(self, images: Tensor, step: int) -> Tensor:
        images = _recolored(images) if self.color else images
        images = _moved(images, self.translation) if self.translation else images
        return erased(images, self.cutout, 1.0) if self.cutout else images


def _recolored(images: Tensor) -> Tensor:
    brightness, saturation, contrast = (
        uniform(images, low, high)[:, None, None, None] for low, high in ((-0.5, 0.5), (0, 2), (0.5, 1.5))
    )
    images = images + brightness
    grey = images.mean(1, keepdim=True)
    images = grey + saturation * (images - grey)
    level = images.mean((1, 2, 3), keepdim=True)
    return level + contrast * (images - level)


def _moved(images: Tensor, share: float) -> Tensor:
    height, width = images.shape[2:]
    down, right = (int(size * share + 0.5) for size in (height, width))
    rows = torch.arange(height, device=images.device) + integers(images, 2 * down + 1).long().unsqueeze(1)
    columns = torch.arange(width, device=images.device) + integers(images, 2 * right + 1).long().unsqueeze(1)
    return pick(pad(images, (right, right, down, down)), rows.unsqueeze(2), columns.unsqueeze(1))
