"""Trials without training: a fake expansion, and a driver with slots and records."""

from collections import deque
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import fmean

from optuna.pruners import NopPruner
from optuna.samplers import CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Outcome, Trial
from duogen.sweep.search.method import Method, Objective

SAMPLERS = {
    "random": partial(RandomSampler, seed=3),
    "tpe": partial(TPESampler, seed=3, n_startup_trials=3, multivariate=True),
    "gp": partial(GPSampler, seed=3, n_startup_trials=3),
    "qmc": partial(QMCSampler, seed=3, scramble=True, warn_independent_sampling=False),
    "cmaes": partial(CmaEsSampler, seed=3, popsize=4, warn_independent_sampling=False),
}


def expand(params, phase, seeds):
    """One trial for each seed; its key is a function of the setting and the seed, as a run's is."""
    trials = []
    for seed in seeds:
        key = sha256(repr((sorted(params.items()), seed)).encode()).hexdigest()[:12]
        plan = Plan({"trainer": {"devices": 1}}, Path("sweep") / key)
        trials.append(Trial(plan, Path("sweep/trials") / f"{key}.json", dict(params), seed, phase))
    return trials


def method(sampler=SAMPLERS["random"], pruner=NopPruner, metrics=("loss",), directions=("minimize",), **given):
    objectives = [Objective(*pair) for pair in zip(metrics, directions, strict=True)]
    given = {"aggregate": fmean, "seed": 3, "n_jobs": None, **given}
    return Method(objectives, sampler, pruner, **given)


def curve(value, steps=(10, 20)):
    """An outcome `done` that validated `value` at each step."""
    return Outcome("done", [(step, {"loss": value}) for step in steps])


class Driver:
    """Runs an agenda on `slots` slots: a trial is told of each of its rows in turn, and stops where it is pruned.

    `result` gives the outcome that a trial would have. Ends are kept in `records`: a trial found there is not run again
    but told at once. `stop_after` trials in all, it stops, as if killed.
    """

    def __init__(self, result, slots=1, records=None):
        self.result, self.slots = result, slots
        self.records = {} if records is None else records
        self.given, self.ran = [], []

    def run(self, agenda, stop_after=None):
        running = deque()
        while True:
            while len(running) < self.slots and (trial := agenda.next()):
                self.given.append(trial)
                if trial.key in self.records:
                    agenda.ended(trial, self.records[trial.key])
                elif len(self.ran) == stop_after:
                    return self
                else:
                    self.ran.append(trial)
                    running.append((trial, self.result(trial), []))
            if not running:
                return self
            self.advance(agenda, running)

    def advance(self, agenda, running):
        """The trial that has waited longest closes its next row."""
        trial, outcome, rows = running.popleft()
        end = outcome
        if len(rows) < len(outcome.rows):
            rows.append(outcome.rows[len(rows)])
            if not agenda.reported(trial, *rows[-1]):
                running.append((trial, outcome, rows))
                return
            end = Outcome("pruned", list(rows))
        self.records[trial.key] = end
        agenda.ended(trial, end)
