"""What is done anew to each training image: a function of the stored batch and of uniform numbers drawn for it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from duogen.errors import UserError


class Transform(ABC):
    """A random change of images, computed for a whole batch at once.

    It draws nothing itself: the stream gives it `draws` numbers for each example, a function of (seed, epoch, index).
    """

    draws: int

    @abstractmethod
    def __call__(self, values: Tensor, uniform: Tensor) -> Tensor:
        """The changed images (B, C, H, W), of the same dtype, from `values` (B, C, H, W), bytes or floats in [-1, 1].

        `uniform` (B, draws) holds numbers in [0, 1).
        """


def transformed(values: Tensor, uniform: Tensor, transforms: Sequence[Transform]) -> Tensor:
    """The images (B, C, H, W) after all transforms in turn; `uniform` (B, sum of draws) is shared out among them."""
    for transform, numbers in zip(transforms, uniform.split([each.draws for each in transforms], dim=1), strict=True):
        values = transform(values, numbers)
    return values


class HorizontalFlip(Transform):
    """Mirrors left and right where u < probability, in [0, 1]."""

    draws = 1

    def __init__(self, probability: float) -> None:
        if not 0 <= probability <= 1:
            raise UserError(f"HorizontalFlip: probability={probability}", "0 to 1", "use 0.5 for both sides alike")
        self.probability = probability

    def __call__(self, values: Tensor, uniform: Tensor) -> Tensor:
        return torch.where((uniform < self.probability).view(-1, 1, 1, 1), values.flip(3), values)


class Binarise(Transform):
    """Draws every value anew as black or white: white with probability p, x = 1[u < p], one u for each value.

    p = v / 255 of bytes v and (v + 1) / 2 of floats v in [-1, 1]; black is 0 and -1, white 255 and 1.

    Args:
        shape: of an image, (C, H, W).

    References: Salakhutdinov & Murray 2008, section 4; Burda, Grosse & Salakhutdinov 2016 (IWAE), section 5.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.draws = prod(shape)

    def __call__(self, values: Tensor, uniform: Tensor) -> Tensor:
        black, white = (0, 255) if values.dtype == torch.uint8 else (-1, 1)
        chosen = uniform.view_as(values) < (values - black) / (white - black)
        return chosen.to(values.dtype) * (white - black) + black


class Shift(Transform):
    """Moves the image by whole pixels, d_y and d_x uniform in {-pixels, ..., pixels}; black enters at the border.

    The same as padding by `pixels` on each side and a random crop. Black is 0 of bytes and -1 of floats.
    """

    draws = 2

    def __init__(self, pixels: int) -> None:
        if pixels < 1:
            raise UserError(f"{type(self).__name__}: pixels={pixels}", "1 or more", "leave the transform out for none")
        self.pixels = pixels

    def __call__(self, values: Tensor, uniform: Tensor) -> Tensor:
        rows, columns = self._sources(values, uniform)
        height, width = values.shape[2:]
        inside = _grid((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
        taken = _taken(values, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
        return torch.where(inside, taken, torch.full_like(taken, 0 if values.dtype == torch.uint8 else -1))

    def _sources(self, values: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """From which row (B, H) and column (B, W) each pixel comes, those outside the image among them."""
        span = 2 * self.pixels
        # In single precision u (span + 1) may round up to span + 1.
        moved = (uniform * (span + 1)).long().clamp(max=span) - self.pixels
        height, width = (torch.arange(side, device=values.device) for side in values.shape[2:])
        return height - moved[:, :1], width - moved[:, 1:]


class ReflectedShift(Shift):
    """Moves the image as `Shift` does, but its own reflection enters at the border, the edge itself not repeated.

    Raises:
        UserError: the images are no larger than `pixels`.
    """

    def __call__(self, values: Tensor, uniform: Tensor) -> Tensor:
        height, width = values.shape[2:]
        if min(height, width) <= self.pixels:
            raise UserError(
                f"ReflectedShift: pixels={self.pixels} for images of {height}x{width}",
                f"at most {min(height, width) - 1}",
                "give fewer pixels",
            )
        rows, columns = self._sources(values, uniform)
        return _taken(values, _reflected(rows, height), _reflected(columns, width))


def _reflected(index: Tensor, size: int) -> Tensor:
    """Indices in (-size, 2 size - 1) folded back into [0, size) at 0 and at size - 1."""
    return size - 1 - (size - 1 - index.abs()).abs()


def _grid(rows: Tensor, columns: Tensor) -> Tensor:
    """Row flags (B, H) and column flags (B, W) as flags of pixels (B, 1, H, W)."""
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def _taken(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels (B, C, H, W) of `values` at the rows (B, H) and columns (B, W) of each image."""
    places = rows.unsqueeze(2) * values.shape[3] + columns.unsqueeze(1)
    return values.flatten(2).gather(2, places.flatten(1).unsqueeze(1).expand(-1, values.shape[1], -1)).view_as(values)
