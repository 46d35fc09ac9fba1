"""Samplers whose draws are a function of the study's seed, the number of the draw, and what the study was told."""

import warnings
from typing import Protocol

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler
from optuna.study import Study
from optuna.trial import Trial

from duogen.seeds import derive
from duogen.sweep.search.space import Space

SEEDS = 2**32  # numpy's legacy generators take no larger seed


class Sampling(Protocol):
    """Builds a sampler: what a sampler's YAML with `_partial_: true` becomes."""

    def __call__(self, *, seed: int) -> BaseSampler: ...


def sampler(build: Sampling, seed: int, number: int) -> BaseSampler:
    """The sampler for the study's trial `number`, counted from 0.

    Each trial has a sampler of its own, so that a study that was interrupted draws on as one that was not. A
    quasi-random sequence is one sequence: its scrambling has the study's seed, and only its independent draws (the
    first trial's) are seeded by the number.
    """
    own = derive(seed, "search", number) % SEEDS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made = build(seed=own)
        if isinstance(made, QMCSampler):
            return build(seed=derive(seed, "search") % SEEDS, independent_sampler=RandomSampler(seed=own))  # pyright: ignore[reportCallIssue]
    return made


def ask_again(study: Study, space: Space) -> Trial:
    """The next trial of a study, its values being known and enqueued.

    The sampler is let draw all the same, before it can see the values: quasi-random, evolution-strategy and genetic
    samplers keep their place in the study's own attributes. The Gaussian process keeps nothing, and is slow.
    """
    trial = study.ask()
    if not isinstance(study.sampler, GPSampler):
        _ = trial.relative_params
    for name, distribution in space.items():
        match distribution:
            case FloatDistribution(low=low, high=high, step=step, log=log):
                trial.suggest_float(name, low, high, step=step, log=log)
            case IntDistribution(low=low, high=high, step=step, log=log):
                trial.suggest_int(name, low, high, step=step, log=log)
            case CategoricalDistribution(choices=choices):
                trial.suggest_categorical(name, choices)
    return trial
