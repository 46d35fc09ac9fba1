"""What a cluster runs for a trial: a supervisor that starts its ranks, writes what they could not, and never raises."""

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duogen.experiment.attempt import attempt, load
from duogen.experiment.begin import limits
from duogen.experiment.crew import Crew, answered, run, world_size
from duogen.experiment.slurm import rank_environment
from duogen.experiment.verdict import settle
from duogen.sweep.asking import asked_for
from duogen.sweep.notes import End, Notes
from duogen.sweep.requeue import requeue


def task(config: Any) -> dict[str, Any]:
    """Runs the trial that a job's config names, and leaves its last word; a preempted one may not return.

    Returns:
        key, code (of the processes, negative for a signal) and timed_out.
    """
    file = asked_for(config)
    try:
        placed = rank_environment(os.environ)
        code, timed_out = supervised(file) if placed is None else (one_rank(file, placed), False)
    except Exception:
        print(traceback.format_exc(), flush=True)
        code, timed_out = 1, False
    requeue(code)
    if os.environ.get("RANK", "0") != "0":
        return {"key": file.stem, "code": code, "timed_out": timed_out}
    Notes(file).write_end(End(code, timed_out))
    return {"key": file.stem, "code": code, "timed_out": timed_out}


def one_rank(file: Path, placed: Mapping[str, str]) -> int:
    """Runs this process's rank of a trial whose ranks srun has started."""
    os.environ.update(placed)
    return answered(attempt, (str(file),), speaks=placed["RANK"] == "0")


def supervised(file: Path) -> tuple[int, bool]:
    """Starts the trial's ranks on this machine, passes signals on, and completes the record when all are gone."""
    plan, log = load(file), file.with_suffix(".log")
    start = log.stat().st_size if log.exists() else 0
    shares = [(str(file),)] * world_size(plan.config["trainer"])
    crew = Crew(attempt, shares, log=log, **limits(plan.config))
    code = run(crew)
    settle(plan, code, crew.timed_out, log, start)
    return code, crew.timed_out
