"""Means over seeds with intervals, the difference between two, and how often one method beats another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10, sqrt
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any

from numpy import asarray, concatenate, moveaxis
from scipy.special import stdtrit

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` values and the half width of its 95 % interval, in their unit; None where one cannot be had."""

    n: int
    mean: float
    half: float | None

    def __str__(self) -> str:
        """Two digits of the half width, and the mean to the same place: `12.30 ± 0.42`."""
        if self.half is None or not isfinite(self.half):
            return f"{self.mean:.4g}"
        if self.half == 0:
            return f"{self.mean:.4g} ± 0"
        places = 1 - floor(log10(self.half))
        if places > 6 or abs(self.mean) >= 1e7:
            return f"{self.mean:.4g} ± {self.half:.2g}"
        return f"{self.mean:.{max(0, places)}f} ± {self.half:.{max(0, places)}f}"


@dataclass(frozen=True)
class Improvement:
    """The probability that one method beats another, in [0, 1], and the ends of its 95 % interval."""

    probability: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.probability:.2f} [{self.low:.2f}, {self.high:.2f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and half width of Student's interval, t_{n-1}(0.975) s / sqrt(n), with s^2 over n - 1 (Student 1908).

    Of one value, or where one is not finite, there is no interval.

    Raises:
        ValueError: there are no values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("a mean needs at least one value")
    if not all(map(isfinite, values)):
        return Estimate(n, sum(values) / n, None)
    if n == 1:
        return Estimate(n, values[0], None)
    return Estimate(n, fmean(values), quantile(n - 1) * sqrt(variance(values) / n))


def difference(a: Sequence[float], b: Sequence[float]) -> Estimate | None:
    """mean(a) - mean(b) with the half width of Welch's interval; None where either holds fewer than two values.

    With v = s^2 / n of each, the degrees of freedom are (v_a + v_b)^2 / (v_a^2 / (n_a - 1) + v_b^2 / (n_b - 1))
    (Welch 1947). Without any spread the half width is None. `n` is the smaller count.
    """
    n = min(len(a), len(b))
    if n < 2:
        return None
    middle = fmean(a) - fmean(b)
    va, vb = variance(a) / len(a), variance(b) / len(b)
    if va + vb == 0:
        return Estimate(n, middle, None)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return Estimate(n, middle, quantile(freedom) * sqrt(va + vb))


def quantile(freedom: float) -> float:
    """How many standard errors either side of a mean hold 95 %, for Student's t with `freedom` degrees."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def improvement(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> Improvement | None:
    """P(X > Y) + P(X = Y) / 2 of a value X of `a` and a value Y of `b`, all settings together: U / (n_a n_b).

    `a` and `b` hold the values of each setting, one for each seed. The interval is the percentile bootstrap's of 2,000
    resamples: seeds are drawn anew within each setting, so settings count as chosen, seeds as chance. It is a function
    of the values alone. None where there is no setting, or one with fewer than two seeds.

    Source: Mann and Whitney 1947 for U; Agarwal et al. 2021, section 4.3, who average over tasks where settings are
    pooled here.
    """
    if not a or not b or min(map(len, [*a, *b])) < 2:
        return None
    from numpy.random import default_rng
    from scipy.stats import bootstrap

    def statistic(*samples: "NDArray[Any]", axis: int) -> "NDArray[Any]":
        return wins(samples[: len(a)], samples[len(a) :], axis)

    found = bootstrap(
        [*a, *b], statistic, n_resamples=RESAMPLES, vectorized=True, axis=0, confidence_level=CONFIDENCE,
        method="percentile", rng=default_rng(0),
    )  # fmt: skip
    low, high = found.confidence_interval
    point = statistic(*map(asarray, [*a, *b]), axis=0)
    return Improvement(float(point), float(low), float(high))


def wins(a: "Sequence[NDArray[Any]]", b: "Sequence[NDArray[Any]]", axis: int) -> "NDArray[Any]":
    """Among the pairs of a value of `a` and one of `b` along an axis, the share in which the first is greater."""
    x, y = (moveaxis(concatenate(each, axis), axis, -1) for each in (a, b))
    first, second = x[..., :, None], y[..., None, :]
    return ((first > second) + (first == second) / 2).mean((-2, -1))
