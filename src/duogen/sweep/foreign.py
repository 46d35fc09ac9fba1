"""Our pool under a sweeper that is not ours: its batch of overrides in, Hydra's job returns out, in the same order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from duogen.experiment.provenance import software
from duogen.sweep.agenda import GOOD, Listed, Outcome, Trial
from duogen.sweep.axes import SEED, Setting
from duogen.sweep.call import CALL
from duogen.sweep.desk import Fleet
from duogen.sweep.driver import Driver, Policy
from duogen.sweep.plan import TRIALS, Planner
from duogen.sweep.shown.screen import Screen

PHASE = "batch"


class Batch(Listed):
    """Trials in order, and how each ended."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        super().__init__(trials)
        self.outcomes: dict[str, Outcome] = {}

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        self.outcomes[trial.key] = outcome


def launch(fleet: Fleet, config: DictConfig, job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """Runs one batch; a job's return value is the first value that its trial validated last, or its error."""
    call = CALL.get()
    (call.folder / TRIALS).mkdir(parents=True, exist_ok=True)
    planner = Planner(call.name, call.folder, (), call.config_dir, call.allow, software())
    shared = set(job_overrides[0]).intersection(*job_overrides[1:])
    fixed = [text for text in job_overrides[0] if text in shared and not text.startswith(f"{SEED}=")]
    trials = [planned(replace(planner, fixed=fixed), overrides) for overrides in job_overrides]
    batch = Batch(list({trial.key: trial for trial in trials}.values()))
    screen = Screen(call.name, 0, len(batch.trials), None, higher_is_better=False)
    screen.begin()
    try:
        fleet.work(Driver(batch, Path(config.hydra.sweep.dir), screen, Policy(None, 1.0)))
    finally:
        screen.finish()
    return [returned(trial, batch.outcomes.get(trial.key), overrides)
            for trial, overrides in zip(trials, job_overrides, strict=True)]  # fmt: skip


def planned(planner: Planner, overrides: Sequence[str]) -> Trial:
    """The trial of a job's overrides, named by those that the jobs do not share."""
    parts = [text.partition("=") for text in overrides if text not in planner.fixed]
    named = {key: value for key, _, value in parts}
    seed = int(named.pop(SEED, 0))
    return planner.trial(Setting(named, [f"{key}={value}" for key, value in named.items()]), seed, PHASE)


def returned(trial: Trial, outcome: Outcome | None, overrides: Sequence[str]) -> JobReturn:
    """What Hydra's sweepers read of a job."""
    rows = outcome.rows if outcome is not None and outcome.status in GOOD else None
    value = next(iter(rows[-1][1].values()), None) if rows else None
    error = RuntimeError(f"{trial.label}: {outcome.error or outcome.status if outcome else 'not run'}")
    found = JobReturn(overrides=list(overrides), status=JobStatus.FAILED if rows is None else JobStatus.COMPLETED)
    found.return_value = error if rows is None else value
    return found
