"""How a run ended, where its processes could not write it themselves: killed, timed out, refused, or gone."""

import signal
import time
from dataclasses import replace
from pathlib import Path

from duogen.errors import UserError
from duogen.experiment.crew import AGREED
from duogen.experiment.folder import RunFolder
from duogen.experiment.key import run_key
from duogen.experiment.trial import Plan
from duogen.records import RunRecord

TAIL = 4000
REFUSED = 2
LEFT = ("running", "preempted", "interrupted")
ENDED = ("done", "pruned")


def settle(
    plan: Plan, code: int, timed_out: bool = False, log: Path | None = None, start: int = 0, untouched: bool = False
) -> RunRecord:
    """The run's record once all of its processes are gone, completed where they could not do it.

    Args:
        plan: what was run.
        code: the crew's exit code, negative for a signal.
        timed_out: whether it was told to end because it took too long.
        log: what it printed, of which the end, from byte `start` on, becomes the error.
        start: bytes that the log held before.
        untouched: whether the record still is what it was when these processes began: they came to no word of it.
    """
    folder = RunFolder(plan.folder)
    record = folder.record() or blank(plan)
    mute = untouched and code not in AGREED and record.status not in ENDED
    if timed_out and (mute or record.status in LEFT):
        ended = record.end("timeout", f"stopped after {plan.config['trial']['timeout']:g} s (trial.timeout)")
    elif mute or record.status == "running" or (code == REFUSED and record.status not in ENDED):
        ended = record.end("failed", "\n".join(part for part in (tail(log, start), reason(code)) if part))
    else:
        return record
    ended = replace(ended, wall_s=round(record.wall_s + since(folder), 3))
    try:
        with folder.lock():
            folder.write_record(ended)
    except UserError:  # another process runs it: the record is its own
        return record
    return ended


def since(folder: RunFolder) -> float:
    """Seconds since the record was last written, which its `wall_s` does not hold."""
    path = folder.path / "record.json"
    return max(0.0, time.time() - path.stat().st_mtime) if path.exists() else 0.0


def blank(plan: Plan) -> RunRecord:
    """The record of a run that never came to write one."""
    key = run_key(plan.config)
    return RunRecord(key, [key], "running", plan.choices, list(plan.overrides), plan.config["seed"], sweep=plan.sweep)


def reason(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return "" if code in (1, REFUSED) else f"exited with {code} and no word"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    hint = " (the system does that when memory runs out)" if code == -signal.SIGKILL else ""
    return f"killed by {name}{hint}"


def tail(log: Path | None, start: int) -> str:
    """The end of what a log holds beyond `start` bytes."""
    if log is None or not log.exists():
        return ""
    lines = log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
    # A crash's report ends with all compiled modules that were loaded, in one long line.
    return "\n".join(line for line in lines if not line.startswith("Extension modules: "))[-TAIL:].strip()
