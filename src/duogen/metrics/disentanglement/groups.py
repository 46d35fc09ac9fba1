"""Groups of examples that share the value of one factor."""

import numpy as np

from duogen.metrics.disentanglement.encoded import Integers


def companions(factor: Integers, rows: Integers, rng: np.random.Generator) -> Integers:
    """For each of `rows`, of any shape, the row of a random example whose `factor` (N,) is equal; itself included."""
    order = np.argsort(factor, kind="stable")
    first = np.searchsorted(factor[order], factor[rows])
    return order[first + rng.integers(np.bincount(factor)[factor[rows]])]


def in_blocks(groups: Integers, size: int) -> list[Integers]:
    """Groups (G, B) in blocks of at most `size` groups."""
    return np.array_split(groups, max(1, -(-len(groups) // size)))
