"""Examples as a model encodes them, beside the factors that made them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Encoded:
    """Codes (N, Z) of N examples, the values (N, K) of the factors that made them, integers from 0, and K names."""

    codes: Floats
    factors: Integers
    names: Sequence[str]

    @property
    def count(self) -> int:
        return len(self.codes)

    @property
    def varying(self) -> Flags:
        """Which factors (K,) take more than one value."""
        return (self.factors != self.factors[:1]).any(0)

    @property
    def live(self) -> Flags:
        """Which dimensions (Z,) of the code take more than one value."""
        return (self.codes != self.codes[:1]).any(0)

    def rows(self, rows: Integers) -> "Encoded":
        return replace(self, codes=self.codes[rows], factors=self.factors[rows])

    def of_factors(self, chosen: Flags) -> "Encoded":
        names = [name for name, kept in zip(self.names, chosen, strict=True) if kept]
        return replace(self, factors=self.factors[:, chosen], names=names)

    def of_dimensions(self, chosen: Flags) -> "Encoded":
        return replace(self, codes=self.codes[:, chosen])

    def ordered(self) -> "Encoded":
        """In an order of the content alone: by factors, then by codes."""
        return self.rows(np.lexsort((*self.codes.T[::-1], *self.factors.T[::-1])))


def unravelled(labels: Integers, sizes: Sequence[int]) -> Integers:
    """The factors (N, K) behind row-major indices (N,) into a grid of K sizes."""
    return np.stack(np.unravel_index(labels, tuple(sizes)), 1).astype(np.int64)


def fitting(asked: Sequence[int], available: int) -> list[int]:
    """How many points each of several disjoint parts gets: as many as asked, or all scaled down alike, but one each."""
    total = sum(asked)
    return [min(count, max(min(1, available), count * available // total)) for count in asked]


def parts(encoded: Encoded, asked: Sequence[int], rng: np.random.Generator) -> list[Encoded]:
    """Disjoint random parts of the sizes that fit; factors that are constant in the first are left out of all."""
    sizes = fitting(asked, encoded.count)
    drawn = rng.permutation(encoded.count)[: sum(sizes)]
    found = [encoded.rows(rows) for rows in np.split(drawn, np.cumsum(sizes)[:-1])]
    return [part.of_factors(found[0].varying) for part in found]
