"""A sweep as its tests see it: its commands, the notes of its trials, its processes and its folders."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from duogen.experiment.folder import RunFolder
from duogen.records import RunRecord
from faults.faulty import NOTES
from faults.test_kill import wait_until

HERE = Path(__file__).parent
TINY = (
    "data=ring generator=faulty discriminator=mlp discriminator.width=8 discriminator.depth=1 latent_dim=3 "
    "data.train_size=200 data.evaluation_size=50 data.batch_size=16 trainer=cpu logger=none "
    "budget.steps=12 log_every=4 validate_every=12 checkpoint_every=2"
)


class Begun(NamedTuple):
    """A process of a trial, as it has noted itself."""

    trial: str
    slots: str
    rank: str
    pid: int
    at: int


class Sweep:
    """The commands on one sweep, with the notes of its trials."""

    def __init__(self, folder: Path, *arguments: str, home: Path = HERE.parent, allow: str = "faults.faulty.") -> None:
        self.folder, self.notes, self.home = folder / "sweep", folder / "notes", home
        where = [f"hydra.sweep.dir={self.folder}", "--allow", allow, "--config-dir", str(HERE / "conf")]
        self.command = ["train", "-m", *TINY.split(), *arguments, *where]

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """The command as a user types it, in a session of its own; what it prints is in a file."""
        self.printed = self.notes.with_name(f"printed-{time.monotonic_ns()}")
        with self.printed.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "duogen", *self.command, *more], cwd=self.home, start_new_session=True,
                env=os.environ | {NOTES: str(self.notes)}, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """The command's exit code, once nothing of it lives."""
        code = process.wait(timeout=300)
        wait_until(lambda: not self.living(), "every process of the sweep gone", 60)
        return code

    def run(self, *more: str) -> int:
        return self.end(self.start(*more))

    def living(self) -> list[int]:
        """Every process that was started for this sweep, by whatever parent: its environment says so."""
        mine = f"{NOTES}={self.notes}".encode()
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if mine in environment(path)]

    def noted(self, word: str) -> list[list[str]]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [line.split()[1:] for line in lines if line.split()[0] == word]

    @property
    def begun(self) -> list[Begun]:
        """Every process of a trial that has begun, in order."""
        return [Begun(trial, slots, rank, int(pid), int(at)) for trial, slots, rank, pid, at in self.noted("begin")]

    @property
    def starts(self) -> dict[str, int]:
        """How often each trial was begun."""
        trials = [one.trial for one in self.begun if one.rank == "0"]
        return {trial: trials.count(trial) for trial in sorted(set(trials))}

    def go(self) -> None:
        self.notes.with_name("go").touch()

    @property
    def runs(self) -> dict[str, RunFolder]:
        """The run folders, by fault and seed."""
        runs = [RunFolder(path.parent) for path in self.folder.glob("*/config.yaml")]
        return {f"{run.config()['generator']['fault']}/{run.config()['seed']}": run for run in runs}

    @property
    def records(self) -> dict[str, RunRecord]:
        return {trial: run.record() for trial, run in self.runs.items()}

    @property
    def statuses(self) -> dict[str, str]:
        return {trial: record.status for trial, record in self.records.items()}

    def assert_own_slots(self, *slots: str) -> None:
        """Every slot was used, and never by two trials at once."""
        assert not self.noted("overlap")
        assert {slot for one in self.begun for slot in one.slots.split(",")} == set(slots)


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], object], what: str) -> None:
    """Waits for something that the command does before it ends."""
    wait_until(lambda: condition() or process.poll() is not None, what)
    assert condition(), f"ended with {process.poll()} before {what}"


def environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
