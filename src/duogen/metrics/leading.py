"""Measures too dear for all held-out examples: they look at the first ones alone."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, distributed

from duogen.errors import require_at_least
from duogen.metrics.latent import Inference, LatentMeasure
from duogen.records import Examples

AT_ONCE = 4_000


class LeadingMeasure(LatentMeasure):
    """A measure of the first M held-out examples, each of which has numbers of its own.

    A subclass gives these numbers in `each` and reads all of them from `leading`. Ranks take batches by turns and all
    batches but the last are alike, so that a rank knows where its batch stands. Autocast is off: slopes need digits.
    Examples come in parts of which, with `codes` codes each, no more than 4,000 codes are differentiated at a time, or
    those of one example.

    Args:
        shape: of one example.
        examples: M, >= 1, or all where there are fewer.
        codes: of each example, that are held at once, >= 1.
    Raises `UserError` for counts below 1.
    """

    validates: ClassVar[bool] = False
    columns: ClassVar[int]

    numbers: Tensor | list[Tensor]

    def __init__(self, shape: Sequence[int], examples: int, codes: int) -> None:
        super().__init__(shape)
        require_at_least(1, type(self).__name__, examples=examples)
        self.examples, self.most = examples, max(1, AT_ONCE // codes)
        self.add_state("numbers", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forgets the examples; a rank without any has an empty part to gather."""
        super().reset()
        self.numbers = [torch.zeros(0, 1 + self.columns, dtype=torch.float64, device=self.device)]

    @abstractmethod
    def each(self, model: Inference, examples: Examples) -> Tensor:
        """The numbers (N, F) of some examples, F = `columns`."""

    def infer(self, model: Inference, real: Examples) -> None:
        rank, ranks = (distributed.get_rank(), distributed.get_world_size()) if initialised() else (0, 1)
        batch = rank + ranks * self._update_count
        before = int(self.n_real) + (batch - self._update_count) * real.count
        wanted = min(self.examples - before, real.count)
        assert isinstance(self.numbers, list)
        for start in range(0, wanted, self.most):
            with torch.autocast(real.values.device.type, enabled=False):
                found = self.each(model, part(real, start, min(start + self.most, wanted)))
            rows = found.detach().to(self.device).double()
            self.numbers.append(torch.cat([rows.new_full((len(rows), 1), batch), rows], 1))

    def leading(self) -> Tensor:
        """The numbers (M, F) of the first M examples, in the order of the split."""
        self.require(1, "n_real")
        rows = torch.cat(self.numbers) if isinstance(self.numbers, list) else self.numbers
        return rows[rows[:, 0].argsort(stable=True)][: self.examples, 1:]

    def protocol(self) -> dict[str, Any]:
        seen = min(self.examples, self._counted["n_real"])
        return super().protocol() | {"n_real": seen, "chosen": "the first of the split"}


def initialised() -> bool:
    """Whether there are other ranks to speak to."""
    return distributed.is_available() and distributed.is_initialized()


def part(examples: Examples, start: int, stop: int) -> Examples:
    """Rows `start` to `stop` of a batch."""
    labels = None if examples.labels is None else examples.labels[start:stop]
    return Examples(examples.values[start:stop], labels)
