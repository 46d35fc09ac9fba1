"""What a turn or a row of the log still holds open: gradients of unfinished steps, and sums of unfinished rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 256


class GradientWindow:
    """The gradients that a turn has gathered since its last optimizer step, kept apart from every other turn's.

    `count` is the number of examples or tokens gathered, None when the loss was already divided by it.
    """

    def __init__(self) -> None:
        self.acts = 0
        self.count: int | Tensor | None = None
        self.gradients: list[Tensor | None] = []

    def open(self, parameters: Sequence[nn.Parameter]) -> None:
        """Puts the gathered gradients back where backward adds to them; without any, all are None already."""
        if self.gradients:
            for parameter, gradient in zip(parameters, self.gradients, strict=True):
                parameter.grad = gradient

    def add(self, count: "int | Tensor | None") -> None:
        self.acts += 1
        if count is not None:
            self.count = count if self.count is None else self.count + count

    def close(self, parameters: Sequence[nn.Parameter]) -> None:
        """Takes the gradients away, so that between turns no parameter carries one; an empty window keeps none."""
        self.gradients = [parameter.grad for parameter in parameters] if self.acts else []
        for parameter in parameters:
            parameter.grad = None

    def empty(self) -> None:
        """What was gathered has become a step."""
        self.acts, self.count = 0, None

    def state_dict(self) -> dict[str, Any]:
        return {"acts": self.acts, "count": self.count, "gradients": self.gradients}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.acts, self.count, self.gradients = state["acts"], state["count"], list(state["gradients"])


class Series:
    """One logged term since the last row: its sums by step, left on the device until the row is read."""

    def __init__(self) -> None:
        self.chunks: list[Tensor] = []
        self.values: list[Tensor] = []
        self.counts: list[int | Tensor] = []
        self.steps: list[int] = []

    def add(self, value: Tensor, count: "int | Tensor", step: int) -> None:
        self.values.append(value)
        self.counts.append(count)
        self.steps.append(step)
        if len(self.values) >= CHUNK:
            self.pack()

    def pack(self) -> None:
        """Joins the single values into one tensor: a long row costs bytes per step, not a tensor per step."""
        self.chunks.append(torch.stack(self.values).float())
        self.values, self.counts = [], [sum(self.counts)]

    def stacked(self) -> Tensor:
        """All values (S,) followed by the sum of their counts: (S + 1,)."""
        if self.values:
            self.pack()
        count = torch.as_tensor(sum(self.counts), dtype=torch.float32, device=self.chunks[0].device)
        return torch.cat([*self.chunks, count.reshape(1)])


@dataclass(frozen=True)
class Means:
    """A row's means by term, and the term and 1-based step of the first value that was not finite, if any.

    Of several at one step the one that was logged first is named.
    """

    values: Mapping[str, float]
    bad: tuple[str, int] | None


class LogWindow:
    """Every term logged since the last row; reading it is the only transfer to the host."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    def add(self, name: str, value: Tensor, count: "int | Tensor", step: int) -> None:
        """Adds the sum `value` (0-d) of `count` examples at the 1-based `step`."""
        series = self.series.get(name)
        if series is None:
            series = self.series[name] = Series()
        series.add(value, count, step)

    def means(self, reduce: Callable[[Tensor], Tensor]) -> Means:
        """The means so far; `reduce` sums a vector over the ranks."""
        if not self.series:
            return Means({}, None)
        vectors = {name: series.stacked() for name, series in self.series.items()}
        flat = reduce(torch.cat(list(vectors.values()))).cpu()
        means, bad = {}, []
        for (name, series), part in zip(
            self.series.items(), flat.split([len(v) for v in vectors.values()]), strict=True
        ):
            values, count = part[:-1], part[-1]
            means[name] = float(values.double().sum() / count.clamp(min=1))
            first = (~values.isfinite()).nonzero().flatten().tolist()[:1]
            bad += [(series.steps[index], len(means), name) for index in first]
        return Means(means, (min(bad)[2], min(bad)[0]) if bad else None)

    def clear(self) -> None:
        self.series.clear()

    def state_dict(self) -> dict[str, Any]:
        return {name: {"values": s.stacked(), "steps": list(s.steps)} for name, s in self.series.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.series = {}
        for name, part in state.items():
            series = self.series[name] = Series()
            series.chunks, series.counts, series.steps = (
                [part["values"][:-1]],
                [part["values"][-1]],
                list(part["steps"]),
            )
