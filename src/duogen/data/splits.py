"""A split of a data set: all its examples in one tensor."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from duogen.records import Examples


def as_network_input(values: Tensor) -> Tensor:
    """Bytes x in [0, 255] as floats 2 x / 255 - 1 in [-1, 1], (N, *shape); any other dtype unchanged."""
    return values.sub(127.5).div_(127.5) if values.dtype == torch.uint8 else values


@dataclass(frozen=True, eq=False)
class Split:
    """Examples as stored: `values` (N, *shape), images as uint8 to save memory; `labels` (N,) of classes, or None."""

    values: Tensor
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.values.shape[1:])

    @property
    def stored(self) -> tuple[Tensor, ...]:
        """All that the examples and their labels are made of."""
        return (self.values,) if self.labels is None else (self.values, self.labels)

    def to(self, device: torch.device) -> Self:
        """The split on `device`; no copy where it is already there."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, values=self.values.to(device), labels=labels)

    def pin_memory(self) -> Self:
        """The split in memory that a GPU copies from without making the host wait."""
        labels = None if self.labels is None else self.labels.pin_memory()
        return replace(self, values=self.values.pin_memory(), labels=labels)

    def part(self, start: int, stop: int) -> Self:
        """The examples from `start` to before `stop`, as a view."""
        labels = None if self.labels is None else self.labels[start:stop]
        return replace(self, values=self.values[start:stop], labels=labels)

    def rows(self, index: Tensor) -> "Split":
        """The examples `index` (B,), which lies on the split's device, as they are stored."""
        labels = None if self.labels is None else self.labels.index_select(0, index)
        return Split(self.values.index_select(0, index), labels)

    def select(self, index: Tensor) -> Examples:
        """The batch of the examples `index` (B,), which lies on the split's device."""
        return self.rows(index).examples()

    def examples(self) -> Examples:
        """The whole split as one batch."""
        return Examples(as_network_input(self.values), self.labels)
