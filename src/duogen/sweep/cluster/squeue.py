"""What Slurm says of its jobs, and what it can be told; accounting is not needed."""

import subprocess
import time
from collections.abc import Sequence


def slurm(*command: str) -> str | None:
    """What a command of Slurm prints; None where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


class Queue:
    """The user's jobs that wait, run or are being ended, asked for at most every `every_s` seconds.

    Jobs are named as Slurm names them: `12`, or `12_3` for the fourth of an array.
    """

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self.listed: frozenset[str] | None = None
        self.asked: float | None = None

    def holds(self, job: str) -> bool:
        """Whether the job is there; also where Slurm does not answer: silence is no end."""
        now = time.monotonic()
        if self.asked is None or now - self.asked >= self.every_s:
            answer = slurm("squeue", "--me", "--noheader", "--array", "--format=%i")
            self.listed, self.asked = None if answer is None else frozenset(answer.split()), now
        return self.listed is None or job in self.listed

    def forget(self) -> None:
        """Something was submitted since: what was listed before says nothing of it."""
        self.asked = None


def state(job: str) -> str | None:
    """The job's state, such as RUNNING or COMPLETING; None where it is unknown or Slurm does not answer."""
    answer = slurm("squeue", "--noheader", f"--jobs={job}", "--format=%T")
    return answer.strip() or None if answer else None


def requeue(job: str) -> bool:
    """Whether Slurm has taken it back into the queue."""
    return slurm("scontrol", "requeue", job) is not None


def cancel(jobs: Sequence[str]) -> None:
    if jobs:
        slurm("scancel", *jobs)
