"""Pixels taken from other places, by gathers, which unlike torch's `grid_sample` can be differentiated twice.

Positions are in pixels, from the top left. Nothing here is differentiated with respect to positions.
"""

import torch
from torch import Tensor

from duogen.augmentations.chance import met, precision, uniform


def pick(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """From images (N, C, H, W) the pixels at whole rows and columns, which broadcast to (N, h, w): (N, C, h, w)."""
    places = rows * images.shape[3] + columns
    index = places.flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).unflatten(2, places.shape[1:])


def reflected(positions: Tensor, size: int) -> Tensor:
    """Whole positions, outside 0 to size - 1 too, in an image that continues as its mirror image without end."""
    period = max(1, 2 * (size - 1))
    positions = positions.remainder(period)
    return torch.minimum(positions, period - positions)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Images (N, C, H, W) whose pixel at (x, y) is the old one at M (x, y, 1), sampled bilinearly, edges reflected.

    `matrices` (N, 3, 3) act on pixels from the image's middle, x to the right and y downwards. The identity changes
    nothing at all.
    """
    height, width = images.shape[2:]
    x = torch.arange(width, dtype=matrices.dtype, device=images.device) - (width - 1) / 2
    y = (torch.arange(height, dtype=matrices.dtype, device=images.device) - (height - 1) / 2).unsqueeze(1)
    (xx, xy, dx), (yx, yy, dy) = ([part[:, None, None] for part in row.unbind(1)] for row in matrices.unbind(1)[:2])
    columns, rows = xx * x + xy * y + dx + (width - 1) / 2, yx * x + yy * y + dy + (height - 1) / 2
    left, top = columns.floor(), rows.floor()
    right_share, low_share = (columns - left).unsqueeze(1), (rows - top).unsqueeze(1)
    lefts, rights = (reflected(left.long() + step, width) for step in (0, 1))
    tops, lows = (reflected(top.long() + step, height) for step in (0, 1))
    upper = pick(images, tops, lefts) * (1 - right_share) + pick(images, tops, rights) * right_share
    lower = pick(images, lows, lefts) * (1 - right_share) + pick(images, lows, rights) * right_share
    return upper * (1 - low_share) + lower * low_share


def erased(images: Tensor, share: float, probability: float | Tensor) -> Tensor:
    """Images (N, C, H, W), each with a probability without what lies in a box: 0 there.

    The box has `share` of the image's height and width, and its middle anywhere in the image.
    """
    chosen = met(images, probability)[:, None, None]
    rows, columns = (_within(images, size, share) for size in images.shape[2:])
    return images * ~(chosen & rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


def _within(images: Tensor, size: int, share: float) -> Tensor:
    positions = (torch.arange(size, dtype=precision(images), device=images.device) + 0.5) / size
    return (positions - uniform(images, 0, 1).unsqueeze(1)).abs() < share / 2
