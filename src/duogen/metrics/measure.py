"""What every metric offers: values independent of batches and ranks, their facts, and the protocol behind them."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from duogen.errors import UserError
from duogen.metrics.side import RealSet
from duogen.records import Examples, Fact

WITHOUT_FLOAT64 = {"mps"}


class Measure(Metric):
    """A metric of generated against real examples, as a function of sums over examples.

    A subclass adds its sums as states in float64 or int64 with `dist_reduce_fx="sum"`, fills them in `accumulate` and
    turns them into values in `values`. States keep their type when a module is cast to another, and stay on the CPU
    where the device has no float64.

    `name`: the stem of its YAML; `validates`: whether it is computed at validations, and not on the test split alone;
    `facts`: unit and direction of each value that `compute` returns, of the class or of
    the instance; `shape`: of one example, (C, H, W) or (D,).
    """

    name: ClassVar[str]
    validates: ClassVar[bool] = True
    facts: Mapping[str, Fact]
    is_differentiable = False
    full_state_update = False

    n_generated: Tensor
    n_real: Tensor

    def __init__(self, shape: Sequence[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.shape = tuple(shape)
        self._counted = {"n_generated": 0, "n_real": 0}
        self.add_state("n_generated", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("n_real", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def accumulate(self, generated: Examples, real: Examples) -> None:
        """Add a batch to the sums: values `generated` (N, *shape) and `real` (M, *shape), on any device."""

    @abstractmethod
    def values(self) -> dict[str, Tensor]:
        """The 0-d value of each fact, from the sums over all batches and ranks."""

    @property
    def collector(self) -> Metric:
        """What is updated with the examples: the measure itself, or what it shares with others."""
        return self

    def begin(self, real: Callable[[], RealSet]) -> None:
        """Starts anew on the whole of a real set, which `real` names for a measure that remembers real examples."""
        self.reset()

    def counts(self) -> dict[str, int]:
        """How many examples of each side were seen, over all batches and ranks."""
        return {"n_generated": int(self.n_generated), "n_real": int(self.n_real)}

    def update(self, generated: Examples, real: Examples) -> None:
        """Count and accumulate `generated` (N, *shape) and `real` (M, *shape); N and M may differ, or be 0.

        Raises UserError where an example that the metric uses has another shape.
        """
        self.accumulate(generated, real)
        self.n_generated += generated.count
        self.n_real += real.count

    def compute(self) -> dict[str, Tensor]:
        """The 0-d value of each fact; raises UserError where there are too few examples for one."""
        self._counted = self.counts()
        return self.values()

    def protocol(self) -> dict[str, Any]:
        """What must be equal for two values to be compared, in plain JSON values.

        The counts are those of the last `compute`, over all ranks; a subclass adds its space, extractor and estimator.
        """
        return {"name": self.name, "shape": list(self.shape), **self._counted}

    def remarks(self) -> Sequence[str]:
        """Sentences that a reader of the last values must have read; none where all is well."""
        return ()

    def rows(self, values: Tensor) -> Tensor:
        """`values` (N, *shape) as vectors (N, D) in float64, beside the states."""
        if tuple(values.shape[1:]) != self.shape:
            raise UserError(
                f"{self.name} was given examples of shape {tuple(values.shape[1:])}",
                f"{self.shape}",
                "build the metric with the shape of the data: shape=${data.shape}",
            )
        return values.detach().to(self.device).double().flatten(1)

    def require(self, least: int, *counted: str) -> None:
        """Raise UserError where one of the counts, `n_generated` or `n_real`, is below `least`."""
        for count in counted:
            if self._counted[count] < least:
                raise UserError(
                    f"{self.name} was computed from {count}={self._counted[count]}",
                    f"{count} >= {least}",
                    "evaluate on more examples",
                )

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> nn.Module:
        device = fn(torch.empty(0, device=self.device)).device
        home = torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device
        return super()._apply(lambda value: value.to(home), exclude_state)


def collectors(measures: Iterable[Measure]) -> list[Metric]:
    """Each collector of the measures once: what is updated with every batch."""
    found = {id(collector): collector for collector in (measure.collector for measure in measures)}
    return list(found.values())
