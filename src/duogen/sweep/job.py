"""What a cluster runs for a trial: a supervisor that starts its ranks, writes what they could not, and never raises."""

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duogen.experiment.attempt import attempt, load
from duogen.experiment.begin import limits
from duogen.experiment.crew import Crew, run, world_size
from duogen.experiment.slurm import rank_environment, speaks, threads
from duogen.experiment.verdict import REFUSED, settle
from duogen.sweep.asking import asked_for
from duogen.sweep.notes import End, Notes
from duogen.sweep.requeue import requeue
from duogen.sweep.snapshot import prefer

FAILED = 1


def task(config: Any) -> dict[str, Any]:
    """Runs the trial that a job's config names, and leaves its last word; a preempted one may not return.

    Where srun has started the ranks, one a task, every task runs its own and the first speaks for all.

    Returns:
        key, code (of the processes, negative for a signal) and timed_out.
    """
    file = asked_for(config)
    try:
        prefer()
        code, timed_out = supervised(file, rank_environment(os.environ))
    except Exception:
        print(traceback.format_exc(), flush=True)
        code, timed_out = 1, False
    if not timed_out:
        requeue(code)
    if speaks(os.environ):
        Notes(file).write_end(End(code, timed_out))
    return {"key": file.stem, "code": code, "timed_out": timed_out}


def supervised(file: Path, placed: Mapping[str, str] | None) -> tuple[int, bool]:
    """Starts the ranks that are this task's, passes signals on, and completes the record when they are gone.

    Of tasks that srun has `placed` the first alone keeps the time, the trial's log and its record.
    """
    plan, log = load(file), file.with_suffix(".log")
    start = log.stat().st_size if log.exists() else 0
    if placed is None:
        crew = Crew(attempt, [(str(file),)] * world_size(plan.config["trainer"]), log=log, **limits(plan.config))
    elif speaks(os.environ):
        crew = Crew(attempt, [(str(file),)], placed, threads(os.environ), log, **limits(plan.config))
    else:
        crew = Crew(attempt, [(str(file),)], placed, threads(os.environ))
    code = run(crew)
    if speaks(os.environ):
        settle(plan, code, crew.timed_out, log, start)
    return FAILED if code == REFUSED else code, crew.timed_out  # the refusal is settled, once
