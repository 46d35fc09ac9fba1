"""Random numbers for each image of a batch, from the default generator of its device.

They are float32, or wider where the images are: half precision cannot tell positions in a large image apart.
"""

import torch
from torch import Tensor


def precision(images: Tensor) -> torch.dtype:
    return torch.promote_types(images.dtype, torch.float32)


def uniform(images: Tensor, low: float, high: float) -> Tensor:
    """(N,) from U[low, high)."""
    return torch.rand(len(images), dtype=precision(images), device=images.device) * (high - low) + low


def integers(images: Tensor, count: int) -> Tensor:
    """(N,) whole numbers from 0 to count - 1."""
    return uniform(images, 0, count).floor()


def normal(images: Tensor, std: float) -> Tensor:
    """(N,) from N(0, std^2)."""
    return torch.randn(len(images), dtype=precision(images), device=images.device) * std


def met(images: Tensor, probability: float | Tensor) -> Tensor:
    """(N,) booleans, each true with a probability (0-d) in [0, 1]."""
    return uniform(images, 0, 1) < probability


def by_chance(probability: float | Tensor, *values: Tensor) -> list[Tensor]:
    """Values (N,) each, all of an image kept with a probability, else 0, which is to stand for no change."""
    kept = met(values[0], probability)
    return [value * kept for value in values]
