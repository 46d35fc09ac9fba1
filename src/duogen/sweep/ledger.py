"""What the run records say of trials, and the claims that keep two commands from running one trial."""

import fcntl
import os
import resource
from pathlib import Path
from typing import IO

from duogen.callbacks.reports import VALIDATED
from duogen.callbacks.trackers import rows
from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.records import FAILED, RunRecord
from duogen.sweep.agenda import Outcome, Trial

FINAL = ("done", "pruned", "nan")
MOST_FILES = 16384


def is_over(trial: Trial, record: RunRecord | None) -> bool:
    """Whether a command has nothing to do for a trial: it has ended well, or failed as often as it may."""
    return record is not None and (
        record.status in FINAL
        or (record.status in FAILED and record.failures >= trial.plan.config["trial"]["attempts"])
    )


def outcome(trial: Trial, record: RunRecord | None = None) -> Outcome:
    """How a trial ended, with the values that it validated."""
    folder = RunFolder(trial.plan.folder)
    record = record or folder.record()
    status = record.status if record else "failed"
    validated = [
        (step, short(row)) for step, row in rows(folder.rows) if any(name.startswith(VALIDATED) for name in row)
    ]
    return Outcome(status, validated, record.error if record else None)


def short(row: dict[str, float]) -> dict[str, float]:
    """The validated values of a row by their last names."""
    return {name.rpartition("/")[2]: value for name, value in row.items() if name.startswith(VALIDATED)}


class Claims:
    """Locks on trials, held by the command that runs them; the system lets go of them when it dies."""

    def __init__(self, folder: Path) -> None:
        allow_files(MOST_FILES)
        self.folder = folder
        self.held: dict[str, IO[str]] = {}

    def take(self, key: str) -> bool:
        """Claims a trial; False where another command, or this one, holds it."""
        if key in self.held:
            return False
        file = (self.folder / f"{key}.claim").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self.held[key] = file
        return True

    def give(self, key: str) -> None:
        """Lets go of a trial."""
        file = self.held.pop(key, None)
        if file is not None:
            file.close()


def allow_files(count: int) -> None:
    """Lets this process hold up to `count` files open, as far as the system allows; often it begins with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def clear(trial: Trial) -> None:
    """Empties a trial's folder of what a run has left there, for a fresh start.

    Raises:
        UserError: a living process runs there.
    """
    folder = RunFolder(trial.plan.folder)
    if folder.foreign():
        raise UserError(f"{folder.path} holds other files", "a run's folder", "choose another name=NAME")
    if folder.path.exists():
        with folder.lock():
            folder.clear()
