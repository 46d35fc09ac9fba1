"""A split of a data set: all its examples in one tensor."""

from dataclasses import dataclass

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

    def to(self, device: torch.device) -> "Split":
        """The split on `device`; no copy where it is already there."""
        return Split(self.values.to(device), None if self.labels is None else self.labels.to(device))

    def pin_memory(self) -> "Split":
        """The split in memory that a GPU copies from without making the host wait."""
        return Split(self.values.pin_memory(), None if self.labels is None else self.labels.pin_memory())

    def part(self, start: int, stop: int) -> "Split":
        """The examples from `start` to before `stop`, as a view."""
        return Split(self.values[start:stop], None if self.labels is None else self.labels[start:stop])

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
