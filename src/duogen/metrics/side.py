"""One side of a comparison: the features of a set of examples, and what is computed from them once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from duogen.metrics.cache import TensorCache

Derived = dict[str, Tensor]
BLOCK = 2048


@dataclass(frozen=True)
class RealSet:
    """Which real examples stand on the real side: the checksum of the data, the split, and how many of it."""

    data: str
    split: str
    count: int


class Side:
    """Features (N, F) in float32, logits (N, K) or None, labels (N,) or None, all on the CPU.

    What is derived from the features is kept in memory, and on the disk where a cache and a key are given.
    """

    def __init__(
        self, features: Tensor, logits: Tensor | None, labels: Tensor | None, cache: TensorCache | None, key: str
    ) -> None:
        self.features, self.logits, self.labels = features, logits, labels
        self.cache, self.key = cache, key
        self._derived: dict[str, Derived] = {}
        self._parts: dict[int, Side] = {}

    @property
    def count(self) -> int:
        return len(self.features)

    @cached_property
    def finite(self) -> bool:
        """Whether all features and logits are numbers."""
        return all(bool(part.isfinite().all()) for part in (self.features, self.logits) if part is not None)

    def derived(self, name: str, compute: Callable[[Tensor], Derived]) -> Derived:
        """The named tensors that `compute` makes of the features, made once."""
        if name not in self._derived:
            kept = self.cache.load(f"{self.key}-{name}") if self.cache else None
            self._derived[name] = compute(self.features) if kept is None else kept
            if self.cache and kept is None:
                self.cache.save(f"{self.key}-{name}", self._derived[name])
        return self._derived[name]

    def of_class(self, label: int) -> "Side":
        """The examples with that label, as a side of their own; no cache on the disk."""
        assert self.labels is not None
        if label not in self._parts:
            chosen = self.labels == label
            logits = None if self.logits is None else self.logits[chosen]
            self._parts[label] = Side(self.features[chosen], logits, self.labels[chosen], None, "")
        return self._parts[label]

    def ordered(self) -> Tensor:
        """Row numbers (N,) in an order of the features alone, so that neither batches nor ranks decide it."""
        generator = torch.Generator().manual_seed(0)
        direction = torch.randn(self.features.shape[1], generator=generator, dtype=torch.float64)
        places = [block.double() @ direction for block in self.features.split(BLOCK)]
        return torch.cat(places).argsort(stable=True)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: a side never changes."""
        return self
