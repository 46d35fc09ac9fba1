"""The one owner of requeue under Slurm: a trial that was preempted puts its own job back into the queue."""

import os
import sys
from collections.abc import Mapping

from duogen.sweep.cluster import squeue

PREEMPTED = 75


def requeue(code: int) -> None:
    """Ends this process where its job is to run again; returns where the trial has ended, or nobody takes it back.

    To be called last in a job, before its last word: a job that returns has ended for the command that waits for it.
    A job that Slurm itself is ending (cancelled, or preempted into the queue) is left to Slurm, so that a job that
    somebody has cancelled stays cancelled. Of the tasks of one job the first speaks.
    """
    job = own_job(os.environ)
    if job is None or code != PREEMPTED:
        return
    if os.environ.get("SLURM_PROCID", "0") != "0" or squeue.state(job) != "RUNNING" or squeue.requeue(job):
        leave()


def own_job(environ: Mapping[str, str]) -> str | None:
    """The name of the Slurm job that was submitted for this trial; None in a job that somebody shares with others."""
    if environ.get("SUBMITIT_EXECUTOR") != "slurm" or "SLURM_JOB_ID" not in environ:
        return None
    if "SLURM_ARRAY_JOB_ID" in environ:
        return f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    return environ["SLURM_JOB_ID"]


def leave() -> None:
    """Ends at once, so that the engine's own wrapper notes no result: the job is to run on."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
