"""Which examples a batch holds: integer arithmetic on (seed, purpose, step), with no state to save or to restore."""

from dataclasses import dataclass

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.seeds import derive


def seeded(seed: int, *purpose: int | str) -> torch.Generator:
    """A CPU generator that belongs to (seed, purpose) alone."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


def permutation(seed: int, purpose: str, epoch: int, n: int) -> Tensor:
    """The order (n,) of n examples in an epoch, a pure function of its arguments."""
    return torch.randperm(n, generator=seeded(seed, purpose, epoch))


def share(count: int, rank: int, world: int) -> slice:
    """The contiguous part of `count` examples that falls to a rank; the first ranks take one more of the rest."""
    each, rest = divmod(count, world)
    start = rank * each + min(rank, rest)
    return slice(start, start + each + (rank < rest))


@dataclass(frozen=True)
class Order:
    """The endless order of the batches of one stream.

    Batch i is row i % b of epoch i // b, with b = size // batch_size rows in an epoch; the tail of each permutation is
    dropped. `batch_size` is that of all ranks together, of which each takes its share.

    Raises:
        UserError: `batch_size` exceeds `size`, or leaves a rank without an example.
    """

    seed: int
    purpose: str
    size: int
    batch_size: int
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not self.world <= self.batch_size <= self.size:
            raise UserError(
                f"data.batch_size={self.batch_size} for {self.size} training examples on {self.world} rank(s)",
                f"{self.world} to {self.size}: at least one example for each rank, at most the whole split",
                f"set data.batch_size={min(max(self.batch_size, self.world), self.size)}",
            )

    @property
    def batches_per_epoch(self) -> int:
        return self.size // self.batch_size

    def epoch(self, epoch: int) -> Tensor:
        """The example indices (batches_per_epoch, B) of this rank's batches in an epoch."""
        kept = permutation(self.seed, self.purpose, epoch, self.size)[: self.batches_per_epoch * self.batch_size]
        return kept.view(-1, self.batch_size)[:, share(self.batch_size, self.rank, self.world)]
