"""Random changes of an image's geometry, as matrices (N, 3, 3) for `warp`; each happens or not on its own."""

import math

import torch
from torch import Tensor

from duogen.augmentations.chance import by_chance, integers, normal, uniform


def blits(images: Tensor, probability: float | Tensor) -> Tensor:
    """Pixels moved and never mixed: x-flip, quarter turns, whole translations up to an eighth of each side.

    Source: Karras et al. 2020 (ADA), appendix B, "pixel blitting".
    """
    height, width = images.shape[2:]
    (flip,) = by_chance(probability, integers(images, 2))
    (turns,) = by_chance(probability, integers(images, 4))
    right, down = by_chance(
        probability,
        (uniform(images, -0.125, 0.125) * width).round(),
        (uniform(images, -0.125, 0.125) * height).round(),
    )
    # The cosine and sine of whole quarter turns, exactly.
    quarter = turned((turns - 2).abs() - 1, 1 - (turns - 1).abs())
    return then(then(scaled(1 - 2 * flip, torch.ones_like(flip)), quarter), shifted(right, down))


def transforms(images: Tensor, probability: float | Tensor) -> Tensor:
    """Scaling by 2^(0.2 n), any turn, scaling by 2^(0.2 n) across the axes, any turn, translation by n/8 of each side.

    n ~ N(0, 1). Either of the two turns happens with probability 1 - sqrt(1 - p), so that one of them does with p.
    Source: Karras et al. 2020 (ADA), appendix B, "general geometric transformations".
    """
    height, width = images.shape[2:]
    turning = 1 - (1 - probability) ** 0.5
    (size,) = by_chance(probability, normal(images, 0.2))
    (first,) = by_chance(turning, uniform(images, -math.pi, math.pi))
    (stretch,) = by_chance(probability, normal(images, 0.2))
    (last,) = by_chance(turning, uniform(images, -math.pi, math.pi))
    right, down = by_chance(probability, normal(images, 0.125 * width), normal(images, 0.125 * height))
    steps = [
        turned(first.cos(), first.sin()),
        scaled(stretch.exp2(), (-stretch).exp2()),
        turned(last.cos(), last.sin()),
        shifted(right, down),
    ]
    matrices = scaled(size.exp2(), size.exp2())
    for step in steps:
        matrices = then(matrices, step)
    return matrices


def then(first: Tensor, last: Tensor) -> Tensor:
    """The matrices (N, 3, 3) of one change of the image after another; no precision mode rounds the product."""
    return (first.unsqueeze(3) * last.unsqueeze(1)).sum(2)


def turned(cosine: Tensor, sine: Tensor) -> Tensor:
    """An image turned about its middle, counterclockwise, from the angle's cosine and sine (N,)."""
    zero = torch.zeros_like(cosine)
    return _affine(cosine, -sine, zero, sine, cosine, zero)


def scaled(x: Tensor, y: Tensor) -> Tensor:
    """An image made 1 / x as wide and 1 / y as high."""
    zero = torch.zeros_like(x)
    return _affine(x, zero, zero, zero, y, zero)


def shifted(right: Tensor, down: Tensor) -> Tensor:
    """An image moved by pixels."""
    one, zero = torch.ones_like(right), torch.zeros_like(right)
    return _affine(one, zero, -right, zero, one, -down)


def _affine(*entries: Tensor) -> Tensor:
    one, zero = torch.ones_like(entries[0]), torch.zeros_like(entries[0])
    return torch.stack([*entries, zero, zero, one], 1).unflatten(1, (3, 3))
