"""A run's folder: the truth about it, and the lock that keeps a second process out."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from duogen.errors import UserError
from duogen.files import write_atomic
from duogen.records import RunRecord

OURS = (
    "config.yaml",
    "record.json",
    "metrics.jsonl",
    "metrics.csv",
    "checkpoints",
    "samples",
    "samplers",
    "tensorboard",
    "wandb",
    "lock",
)


LOOKS, LOOK_S = 5, 0.02
HELD: set[IO[str]] = set()


def let_go() -> None:
    """A forked data worker gives up its copies: a lock is let go when the run ends, not when its last worker does."""
    for file in HELD:
        file.close()


os.register_at_fork(after_in_child=let_go)


class RunFolder:
    """Where one run keeps everything: config.yaml, record.json, metrics.jsonl, checkpoints/, samples/, lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints, self.samples = path / "checkpoints", path / "samples"
        self.rows, self.last = path / "metrics.jsonl", path / "checkpoints" / "last.ckpt"

    def record(self) -> RunRecord | None:
        """The record, or None where no run has begun; an unreadable one is refused, never overwritten."""
        path = self.path / "record.json"
        if not path.exists():
            return None
        try:
            return RunRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise unreadable(path, "a record that duogen wrote", error) from error

    def config(self) -> dict[str, Any] | None:
        """The resolved config of the run, or None where it has not come to training; an unreadable one is refused."""
        path = self.path / "config.yaml"
        if not path.exists():
            return None
        try:
            return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (yaml.YAMLError, ValueError, TypeError) as error:
            raise unreadable(path, "a config that duogen wrote", error) from error

    def write_record(self, record: RunRecord) -> None:
        write_atomic(self.path / "record.json", (json.dumps(record.to_json(), indent=1) + "\n").encode())

    def write_config(self, config: Mapping[str, Any]) -> None:
        write_atomic(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False).encode())

    def stamp(self) -> tuple[int, int] | None:
        """What changes whenever the record is written; None where there is none."""
        try:
            found = (self.path / "record.json").stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def foreign(self) -> list[str]:
        """What lies in the folder that no run has written: everything, where no run has ever locked it."""
        names = sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []
        return [name for name in names if not ours(name)] if "lock" in names else names

    def clear(self) -> None:
        """Removes what a run has written and nothing else, the record first: what is left of the rest is no run."""
        for path in [self.path / "record.json", *self.path.iterdir()]:
            if path.is_dir() and not path.is_symlink() and ours(path.name):
                shutil.rmtree(path)
            elif path.name != "lock" and ours(path.name):
                path.unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether a living process runs here."""
        try:
            with (self.path / "lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except OSError:
            return True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder; the system lets go of it when the process ends, however it ends.

        Raises:
            UserError: another process holds it, or it cannot be written.
        """
        with self.lock_file() as file:
            try:
                seize(file)
            except OSError as error:
                file.seek(0)
                raise UserError(
                    f"{self.path} is in use by process {file.read().strip() or 'unknown'}",
                    "one process per run folder",
                    "wait for it, stop it, or choose another folder with run_dir=PATH",
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            HELD.add(file)
            try:
                yield
            finally:
                HELD.discard(file)

    def lock_file(self) -> IO[str]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return (self.path / "lock").open("a+")
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be used: {error}", "a folder that you may write to", "choose another run_dir=PATH"
            ) from error


def seize(file: IO[str]) -> None:
    """Locks the file, in a second attempt if need be: `held` looks at it for a moment."""
    for _ in range(LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            time.sleep(LOOK_S)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def ours(name: str) -> bool:
    """Whether a run gives a file of its folder this name, or has left it half-written."""
    return name in OURS or name.startswith(tuple(f".{whole}." for whole in OURS))


def unreadable(path: Path, allowed: str, error: Exception) -> UserError:
    remedy = "mend or remove the folder, or choose another with run_dir=PATH"
    return UserError(f"{path} cannot be read ({type(error).__name__})", allowed, remedy)
