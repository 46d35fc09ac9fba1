"""Images of uniform noise, as many as asked for: a benchmark needs bytes of the right shape, not a download."""

from collections.abc import Mapping, Sequence

import torch

from duogen.data.examples import ExamplesData
from duogen.data.order import seeded
from duogen.data.splits import Split


class Noise(ExamplesData):
    """`size` training images (C, H, W) of uniform bytes, and as many again to validate and to test."""

    def __init__(self, shape: Sequence[int], batch_size: int, workers: int, seed: int, size: int) -> None:
        super().__init__(shape, None, batch_size, workers, seed)
        self.size = size

    def load(self) -> Mapping[str, Split]:
        return {name: Split(self.drawn(name), None) for name in ("train", "validate", "test")}

    def drawn(self, name: str) -> torch.Tensor:
        shape = (self.size, *self.shape)
        return torch.randint(256, shape, generator=seeded(0, name), dtype=torch.uint8)
