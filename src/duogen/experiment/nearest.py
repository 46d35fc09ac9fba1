"""The training examples nearest to others, so that memorisation is looked at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from duogen.data.splits import Split

BLOCK = 2000


@dataclass(frozen=True)
class Nearest:
    """For each of Q examples its k nearest: `distances` (Q, k), ascending, and their `places` (Q, k) in the split."""

    distances: Tensor
    places: Tensor


def closest(values: Tensor, split: Split, k: int) -> Nearest:
    """The k nearest of the split's N examples to each of `values` (Q, *shape), by Euclidean distance, 1 <= k <= N.

    |x - y| over all pixels of values in [-1, 1], in float64 on the CPU, 2,000 examples of the split at a time: memory
    grows with Q, not with N. The distances are computed from the differences themselves: those of a copy are 0.
    """
    sought = values.cpu().double().flatten(1)
    squares, places = torch.empty(len(sought), 0, dtype=torch.float64), torch.empty(len(sought), 0, dtype=torch.int64)
    for start in range(0, len(split), BLOCK):
        block = _rows(split.part(start, start + BLOCK))
        # |x|^2 is the same for all y, and left out.
        found = block.square().sum(1) - 2 * sought @ block.T
        squares = torch.cat([squares, found], 1)
        places = torch.cat([places, torch.arange(start, start + len(block)).expand(len(sought), -1)], 1)
        squares, kept = squares.topk(min(k, squares.shape[1]), largest=False)
        places = places.gather(1, kept)
    exact = [(row - _rows(at(split, near))).norm(dim=1) for row, near in zip(sought, places, strict=True)]
    distances, order = torch.stack(exact).sort(dim=1)
    return Nearest(distances, places.gather(1, order))


def at(split: Split, places: Tensor) -> Split:
    """The examples at `places` (k,), wherever the split lies."""
    return split.rows(places.to(split.values.device))


def _rows(split: Split) -> Tensor:
    return split.examples().values.cpu().double().flatten(1)
