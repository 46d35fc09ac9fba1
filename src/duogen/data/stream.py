"""Streams of batches that never end and start at any step: batch i is a pure function of (seed, i)."""

from collections.abc import Callable, Iterator
from itertools import count

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from duogen.data.order import Order, seeded
from duogen.data.splits import Split
from duogen.records import Examples

Key = tuple[int, int]
Example = tuple[Tensor, Tensor | None]
Transform = Callable[[Tensor, Generator], Tensor]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`, through pinned memory where that spares the host the wait."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class ResidentStream:
    """Batches of a split that lies on the device as a whole: a batch is one index selection."""

    def __init__(self, split: Split, order: Order) -> None:
        self.split, self.order = split, order
        self._epoch, self._rows = -1, ()

    def batch(self, step: int) -> Examples:
        """Batch number `step`, from 0: values (B, *shape), labels (B,) or None."""
        epoch, row = divmod(step, self.order.batches_per_epoch)
        if epoch != self._epoch:
            self._rows = send(self.order.epoch(epoch), self.split.values.device).unbind()
            self._epoch = epoch
        return self.split.select(self._rows[row])

    def since(self, start: int) -> Iterator[Examples]:
        """All batches from number `start` on, without end."""
        return map(self.batch, count(start))


class KeyedDataset(Dataset[Example]):
    """Examples by (epoch, index), so that what `transform` draws is a pure function of the key.

    `transform` takes one stored value (*shape) and a generator seeded by (seed, purpose, epoch, index).
    """

    def __init__(self, split: Split, order: Order, transform: Transform | None) -> None:
        self.split, self.order, self.transform = split, order, transform

    def __getitem__(self, key: Key) -> Example:
        epoch, index = key
        value = self.split.values[index]
        if self.transform is not None:
            value = self.transform(value, seeded(self.order.seed, f"{self.order.purpose} transform", epoch, index))
        return value, None if self.split.labels is None else self.split.labels[index]


class EndlessSampler(Sampler[list[Key]]):
    """The keys (epoch, index) of each batch from number `start` on, without end."""

    def __init__(self, order: Order, start: int) -> None:
        self.order, self.start = order, start

    def __iter__(self) -> Iterator[list[Key]]:
        first, row = divmod(self.start, self.order.batches_per_epoch)
        for epoch in count(first):
            for indices in self.order.epoch(epoch)[row:]:
                yield [(epoch, index) for index in indices.tolist()]
            row = 0


def collate(batch: list[Example]) -> Example:
    """B examples as the values (B, *shape) and the labels (B,) or None."""
    values, labels = zip(*batch, strict=True)
    return torch.stack(values), None if labels[0] is None else torch.stack(labels)


def loaded(
    split: Split, order: Order, start: int, workers: int, device: torch.device, transform: Transform | None = None
) -> Iterator[Examples]:
    """The batches of `ResidentStream.since`, prepared by worker processes from a split on the CPU.

    The loader has a generator of its own, so that starting it leaves the default generator alone. Bytes travel to the
    device as bytes.
    """
    loader = DataLoader(
        KeyedDataset(split, order, transform),
        batch_sampler=EndlessSampler(order, start),
        num_workers=workers,
        collate_fn=collate,
        generator=seeded(order.seed, f"{order.purpose} workers"),
        pin_memory=device.type == "cuda",
    )
    for values, labels in loader:
        yield Split(send(values, device), None if labels is None else send(labels, device)).examples()


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
