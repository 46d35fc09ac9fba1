"""Frozen records that travel between the stages; this module imports nothing heavy."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FAILED = ("failed", "oom", "timeout")
EXIT = {"done": 0, "pruned": 0, "failed": 1, "nan": 1, "oom": 1, "timeout": 1, "preempted": 75, "interrupted": 130}


class Batch(Protocol):
    """What every batch record offers: how many examples it holds, and itself on another device."""

    @property
    def count(self) -> int: ...

    def to(self, device: "torch.device") -> Self: ...


@dataclass(frozen=True)
class Examples:
    """A batch: images `values` (N, C, H, W) in [-1, 1] or vectors (N, D), and `labels` (N,), class indices, or None."""

    values: "Tensor"
    labels: "Tensor | None" = None

    @property
    def count(self) -> int:
        return self.values.shape[0]

    def to(self, device: "torch.device") -> "Examples":
        if self.values.device == device:
            return self
        return Examples(self.values.to(device), None if self.labels is None else self.labels.to(device))


@dataclass(frozen=True)
class Loss:
    """What a turn minimises: L = sum_k w_k sum_n t_k[n] / count.

    `terms` are per example (N,), or 0-d for a batch-level mean, which counts as mean x count; `weights` default to 1;
    `count` is the number of examples, or of tokens. `observed` values (N,), or 0-d, are recorded and never minimised:
    what feedback follows, and what a person wants to see.
    """

    terms: Mapping[str, "Tensor"]
    count: "int | Tensor"
    weights: Mapping[str, "float | Tensor"] = field(default_factory=dict)
    observed: Mapping[str, "Tensor"] = field(default_factory=dict)

    def sums(self) -> "dict[str, Tensor]":
        """Each term summed over the examples, 0-d and unweighted."""
        return {name: term.sum() if term.dim() else term * self.count for name, term in self.terms.items()}

    def weighted(self, sums: "Mapping[str, Tensor]") -> "Tensor":
        """The sums of `sums()`, weighted and added: what a turn differentiates, before it is divided by the count."""
        return reduce(add, [weigh(value, self.weights.get(name, 1.0)) for name, value in sums.items()])


def weigh(value: "Tensor", weight: "float | Tensor") -> "Tensor":
    """weight x value; a plain 1 costs nothing."""
    return value if isinstance(weight, float) and weight == 1.0 else weight * value


@dataclass(frozen=True)
class Opinion:
    """What a discriminator made of a batch, over all ranks: what feedback reacts to.

    `real` and `fake` are its mean outputs, `sign` the mean sign of those for real examples, all 0-d; `count` is the
    number of real examples, a tensor (0-d) where ranks have counted it together.
    """

    real: "Tensor"
    fake: "Tensor"
    sign: "Tensor"
    count: "int | Tensor"


@dataclass(frozen=True)
class Fact:
    """What a report must know of a metric's value: its unit and whether more is better."""

    unit: str
    higher_is_better: bool


@dataclass(frozen=True)
class MetricValue:
    """One measured number with all that is needed to compare it: without its protocol a value is no result."""

    name: str
    value: float
    unit: str
    higher_is_better: bool
    split: str
    weights: str
    protocol: Mapping[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says of it, rewritten whole at the start, at each checkpoint and at the end.

    `status` is running, done, failed, nan, oom, timeout, pruned, preempted or interrupted. `keys` are all that the
    folder answers to, several where a run was continued with more steps. `wall_s` sums over all its processes.
    `failures` counts the ends that were failed, oom or timeout; `peak_memory` is in bytes of a GPU; `sweep` says what
    a trial belongs to: group, phase, label, setting; `remarks` are what a reader of its metrics must know.
    """

    key: str
    keys: Sequence[str]
    status: str
    choices: Mapping[str, Any]
    overrides: Sequence[str]
    seed: int
    schema: int = 1
    steps: int = 0
    updates: Mapping[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    metrics: Sequence[MetricValue] = ()
    remarks: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    checkpoints: Sequence[Mapping[str, Any]] = ()
    tracker: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    failures: int = 0
    peak_memory: int | None = None
    sweep: Mapping[str, Any] = field(default_factory=dict)

    def end(self, status: str, error: str | None) -> "RunRecord":
        """The record of this run once it has ended so."""
        failures = self.failures + (status in FAILED)
        return replace(self, status=status, error=error, failures=failures)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunRecord":
        known: dict[str, Any] = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        known["metrics"] = tuple(MetricValue(**value) for value in content["metrics"])
        return cls(**known)
