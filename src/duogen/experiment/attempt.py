"""One trial's file in, one run folder out: what a launcher of any kind starts, in a process that is the trial's own."""

import json
from multiprocessing.connection import Connection
from pathlib import Path

from duogen.errors import UserError
from duogen.experiment import trial
from duogen.experiment.check import rehearse
from duogen.experiment.trial import Plan


def attempt(file: str, line: Connection | None = None) -> int:
    """Runs a trial's file on this process's rank; what can be refused is refused before there is a folder.

    Args:
        file: as `write` has written it.
        line: to the sweep, on rank 0.
    """
    plan = load(Path(file))
    rehearse(plan.config, plan.allow)
    return trial.run(plan, line)


def load(file: Path) -> Plan:
    """The plan that a trial's file holds.

    Raises:
        UserError: there is no such file, or it is none of ours.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Plan(**{**content, "folder": Path(content["folder"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{file}: {type(error).__name__}: {error}", "a trial's file", "issue the sweep again"
        ) from error
