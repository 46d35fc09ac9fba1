"""How to search, whatever the space: what is better, who draws, who prunes, and how seeds become one value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import CmaEsSampler

from duogen.errors import UserError, nearest
from duogen.sweep.search.pruning import Aggregate
from duogen.sweep.search.samplers import Sampling, sampler

Direction = Literal["minimize", "maximize"]

DIRECTIONS = ("minimize", "maximize")


@dataclass(frozen=True)
class Objective:
    """A validated value by its short name, such as `frechet_pixels`, and which way is better."""

    metric: str
    direction: Direction

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            allowed = ", ".join(nearest(str(self.direction), DIRECTIONS))
            raise UserError(f"direction: {self.direction}", allowed, f"say which {self.metric} is better")


@dataclass(frozen=True)
class Quantile:
    """The q-quantile of the seeds' values, linear between neighbours: q = 0.5 is the median. 0 <= q <= 1."""

    q: float

    def __post_init__(self) -> None:
        if not 0 <= self.q <= 1:
            raise UserError(f"Quantile: q={self.q}", "0 <= q <= 1", "set q, for example to 0.5")

    def __call__(self, values: Sequence[float]) -> float:
        return float(numpy.quantile(values, self.q))


@dataclass(frozen=True)
class Method:
    """How to search, whatever the space: what is better, who draws, who prunes, and how seeds become one value.

    `n_jobs` is how many settings may be open at once; None sets no limit. Raises UserError where there is no objective,
    where n_jobs < 1, and for several objectives with a pruner or with CMA-ES, which know of one only.
    """

    objectives: Sequence[Objective]
    sampler: Sampling
    pruner: Callable[[], BasePruner]
    aggregate: Aggregate
    seed: int
    n_jobs: int | None

    def __post_init__(self) -> None:
        if not self.objectives:
            raise UserError("a search without a metric", "the short name of a validated value", "set metric")
        jobs = self.n_jobs
        if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
            raise UserError(f"n_jobs={self.n_jobs}", "1 or more, or null for no limit", "set n_jobs")
        if len(self.objectives) > 1:
            self.refuse_several()

    def refuse_several(self) -> None:
        metrics = ", ".join(objective.metric for objective in self.objectives)
        if not isinstance(self.pruner(), NopPruner):
            remedy = "choose hydra/sweeper/pruner=none, or search for one of them"
            raise UserError(
                f"a pruner for {metrics}", "a pruner with one metric: a front has no order to prune by", remedy
            )
        if isinstance(sampler(self.sampler, self.seed, 0), CmaEsSampler):
            remedy = "choose hydra/sweeper/sampler=tpe, gp, qmc or random, or search for one of them"
            raise UserError(f"CMA-ES for {metrics}", "CMA-ES with one metric", remedy)


def read_method(
    metric: str | Sequence[str] | None,
    direction: str | Sequence[str],
    sampler: partial[Any],
    pruner: Callable[[], BasePruner],
    aggregate: Aggregate,
    n_jobs: int | None,
) -> Method:
    """The method that the sweeper's YAML spells; its seed is the sampler's, 0 where that has none.

    Raises UserError where there are not as many directions as metrics, and where Method does.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric or ())
    directions = [direction] if isinstance(direction, str) else list(direction)
    if len(metrics) != len(directions) and metrics:
        raise UserError(
            f"{len(metrics)} metrics ({', '.join(metrics)}) and {len(directions)} directions ({', '.join(directions)})",
            "one direction for each metric",
            "set hydra.sweeper.direction to a list as long as hydra.sweeper.metric",
        )
    objectives = [Objective(*pair) for pair in zip(metrics, directions, strict=False)]  # pyright: ignore[reportArgumentType]
    seed = sampler.keywords.get("seed") or 0
    return Method(objectives, sampler, pruner, aggregate, seed, n_jobs)
