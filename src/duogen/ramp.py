"""Weights that change over training, as pure functions of the step: nothing to store, nothing to resume."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from duogen.errors import UserError


class Ramp(ABC):
    """A number that depends on the step alone."""

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The value at a step, counted in batches from 0."""


def at(step: int, value: "float | Ramp") -> float:
    """A number that may depend on the step, as it is at the 0-based `step`."""
    return value(step) if isinstance(value, Ramp) else value


def require_weights(owner: str, **weights: "float | Ramp") -> None:
    """Raises `UserError` for the first weight of `owner`, a class, that is a constant below 0 or not finite."""
    for name, weight in weights.items():
        if not isinstance(weight, Ramp) and not 0 <= weight < math.inf:
            given, allowed = f"{owner}: {name}={weight}", "a finite number, 0 or more, or a ramp"
            raise UserError(given, allowed, f"set {name} to 0 or more")


@dataclass(frozen=True)
class Linear(Ramp):
    """`first` up to the step `start`, `last` from the step `stop` on, a straight line between.

    v(t) = (1 - s) first + s last,  s = clip((t - start) / (stop - start), 0, 1).
    Raises `UserError` unless 0 <= start < stop.
    """

    first: float
    last: float
    start: int
    stop: int

    def __post_init__(self) -> None:
        _check_window("Linear", self.start, self.stop)

    def __call__(self, step: int) -> float:
        return _between(self.first, self.last, _share(step, self.start, self.stop))


@dataclass(frozen=True)
class Cosine(Ramp):
    """`first` up to the step `start`, `last` from the step `stop` on, half a cosine wave between.

    v(t) = (1 - s) first + s last,  s = (1 - cos(pi clip((t - start) / (stop - start), 0, 1))) / 2.
    Raises `UserError` unless 0 <= start < stop.
    Source: the shape of Loshchilov and Hutter 2017, eq. 5, without restarts.
    """

    first: float
    last: float
    start: int
    stop: int

    def __post_init__(self) -> None:
        _check_window("Cosine", self.start, self.stop)

    def __call__(self, step: int) -> float:
        share = (1 - math.cos(math.pi * _share(step, self.start, self.stop))) / 2
        return _between(self.first, self.last, share)


@dataclass(frozen=True)
class Cyclical(Ramp):
    """Every `period` steps anew: a straight line from `first` to `last` over the share `rise`, then `last`.

    v(t) = (1 - s) first + s last,  s = min(1, (t mod period) / (rise period)).
    Raises `UserError` unless period >= 1 and 0 < rise <= 1.
    Source: Fu et al. 2019, the linear cyclical schedule, with t counted from 0.
    """

    first: float
    last: float
    period: int
    rise: float

    def __post_init__(self) -> None:
        if self.period < 1:
            raise UserError(f"Cyclical: period={self.period}", "1 step or more", "set period to the steps of one cycle")
        if not 0 < self.rise <= 1:
            raise UserError(f"Cyclical: rise={self.rise}", "a share: 0 < rise <= 1", "set rise, for example to 0.5")

    def __call__(self, step: int) -> float:
        return _between(self.first, self.last, min(1.0, step % self.period / (self.rise * self.period)))


def _between(first: float, last: float, share: float) -> float:
    return (1 - share) * first + share * last


def _share(step: int, start: int, stop: int) -> float:
    return min(1.0, max(0.0, (step - start) / (stop - start)))


def _check_window(ramp: str, start: int, stop: int) -> None:
    if not 0 <= start < stop:
        remedy = "set stop to a step after start; a constant weight is a plain number"
        raise UserError(f"{ramp}: start={start}, stop={stop}", "steps with 0 <= start < stop", remedy)
