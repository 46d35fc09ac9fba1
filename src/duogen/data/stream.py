"""Streams of batches that never end and start at any step: batch i is a pure function of (seed, i)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from duogen.data.order import Order, seeded
from duogen.data.splits import Split
from duogen.data.transforms import Transform, transformed
from duogen.records import Examples


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`, through pinned memory where that spares the host the wait."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Batches(Dataset[Split]):
    """The batches of a stream by number: index selections from a split, transformed where the split lies.

    The numbers that the transforms use are a table with one row for each example of the split, drawn for each epoch
    from (seed, purpose, epoch): what happens to an example depends on its index, not on the batch, rank or worker that
    it comes to.
    """

    def __init__(self, split: Split, order: Order, transforms: Sequence[Transform]) -> None:
        self.split, self.order, self.transforms = split, order, transforms
        self._epoch, self._rows, self._uniform = -1, (), torch.empty(0)

    def __getitem__(self, step: int) -> Split:
        """Batch number `step`, from 0, as stored: values (B, *shape), bytes for images, and labels (B,) or None."""
        epoch, row = divmod(step, self.order.batches_per_epoch)
        if epoch != self._epoch:
            self._begin(epoch)
        index = self._rows[row]
        batch = self.split.rows(index)
        if not self.transforms:
            return batch
        return Split(transformed(batch.values, self._uniform.index_select(0, index), self.transforms), batch.labels)

    def since(self, start: int) -> Iterator[Examples]:
        """All batches from number `start` on, without end, in the form that networks take."""
        return (self[step].examples() for step in count(start))

    def _begin(self, epoch: int) -> None:
        device = self.split.values.device
        self._rows = send(self.order.epoch(epoch), device).unbind()
        if self.transforms:
            self._uniform = send(uniform_table(self.order, epoch, sum(each.draws for each in self.transforms)), device)
        self._epoch = epoch


def uniform_table(order: Order, epoch: int, draws: int) -> Tensor:
    """Numbers (size, draws) in [0, 1), a row for each example: a pure function of (seed, purpose, epoch)."""
    return torch.rand(order.size, draws, generator=seeded(order.seed, f"{order.purpose} transforms", epoch))


def loaded(batches: Batches, start: int, workers: int, device: torch.device) -> Iterator[Examples]:
    """The batches of `Batches.since`, prepared by worker processes from a split on the CPU.

    The loader has a generator of its own, so that starting it leaves the default generator alone. Bytes travel to the
    device as bytes.
    """
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=count(start),
        num_workers=workers,
        generator=seeded(batches.order.seed, f"{batches.order.purpose} workers"),
        pin_memory=device.type == "cuda",
    )
    for batch in loader:
        labels = None if batch.labels is None else send(batch.labels, device)
        yield Split(send(batch.values, device), labels).examples()


class Restartable:
    """An iterable that asks for its stream anew whenever it is iterated, and so starts at the step reached."""

    def __init__(self, begin: Callable[[], Iterator[Examples]]) -> None:
        self.begin = begin

    def __iter__(self) -> Iterator[Examples]:
        return self.begin()


class EvaluationBatches:
    """A split in its own order, once, the last batch smaller; every rank sees all and takes those that are its own."""

    def __init__(self, split: Split, batch_size: int, device: torch.device) -> None:
        self.split, self.batch_size, self.device = split, batch_size, device

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __iter__(self) -> Iterator[Examples]:
        for start in range(0, len(self.split), self.batch_size):
            yield self.split.part(start, min(start + self.batch_size, len(self.split))).to(self.device).examples()
