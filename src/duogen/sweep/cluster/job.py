"""What a cluster runs for a trial: a supervisor that starts its ranks, writes what they could not, and never raises.

It imports next to nothing itself: what a trial needs is imported once, by the template that its ranks are forked from.
"""

import json
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duogen.errors import UserError
from duogen.experiment.crew import AGREED, Crew, run, world_size
from duogen.experiment.slurm import rank_environment, speaks, threads
from duogen.sweep.cluster.asking import asked_for
from duogen.sweep.cluster.notes import End, Notes
from duogen.sweep.cluster.requeue import requeue
from duogen.sweep.snapshot import prefer


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
    config, log, share = settings(file), file.with_suffix(".log"), (str(file),)
    limits = {name: config["trial"][name] for name in ("timeout", "grace")}
    start = log.stat().st_size if log.exists() else 0
    if placed is None:
        crew = Crew(rank, [share] * world_size(config["trainer"]), log=log, **limits)
    elif speaks(os.environ):
        crew = Crew(rank, [share], placed, threads(os.environ), log, **limits)
    else:
        crew = Crew(rank, [share], placed, threads(os.environ))
    code = run(crew)
    if speaks(os.environ) and (code not in AGREED or crew.timed_out):
        complete(file, code, crew.timed_out, start)
    return code, crew.timed_out


def rank(file: str) -> int:
    """The work of a rank: its trial."""
    from duogen.experiment.attempt import attempt

    return attempt(file)


def complete(file: Path, code: int, timed_out: bool, start: int) -> None:
    """Writes how a trial ended that could not say so itself; its log held `start` bytes before."""
    from duogen.experiment.attempt import load
    from duogen.experiment.verdict import settle

    settle(load(file), code, timed_out, file.with_suffix(".log"), start)


def settings(file: Path) -> dict[str, Any]:
    """The resolved config of the trial.

    Raises:
        UserError: there is no such file, or it is none of ours.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: {error}", "a trial's file", "issue the sweep again") from error
