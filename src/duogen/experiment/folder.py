"""A run's folder: the truth about it, and the lock that keeps a second process out."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    "tensorboard",
    "wandb",
    "lock",
)


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
            raise UserError(
                f"{path} cannot be read ({type(error).__name__})",
                "a record that duogen wrote",
                "mend or remove the folder, or choose another with run_dir=PATH",
            ) from error

    def config(self) -> dict[str, Any]:
        return yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))

    def write_record(self, record: RunRecord) -> None:
        write_atomic(self.path / "record.json", (json.dumps(record.to_json(), indent=1) + "\n").encode())

    def write_config(self, config: Mapping[str, Any]) -> None:
        write_atomic(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False).encode())

    def foreign(self) -> list[str]:
        """What lies in the folder that no run has written."""
        return sorted(p.name for p in self.path.iterdir() if p.name not in OURS) if self.path.is_dir() else []

    def clear(self) -> None:
        """Removes what a run has written, and nothing else."""
        for name in OURS:
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            elif name != "lock":
                path.unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether a living process runs here."""
        if not (self.path / "lock").exists():
            return False
        try:
            with self.lock():
                return False
        except UserError:
            return True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder; the system lets go of it when the process ends, however it ends.

        Raises:
            UserError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
            yield
