"""The only writer to metrics.jsonl and to trackers: one row per flush, on the one step axis."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer

from duogen.callbacks.guards import refuse_bad
from duogen.callbacks.trackers import Tracker
from duogen.modules.alternating import AlternatingModule
from duogen.modules.ranks import summed


class RowFile:
    """metrics.jsonl: one JSON object per line, opened at a byte length so that a resume drops what came after it."""

    def __init__(self, path: Path, length: int) -> None:
        self.path = path
        path.touch()
        if path.stat().st_size < length:
            raise OSError(f"{path} holds {path.stat().st_size} bytes, its checkpoint was written after {length}")
        os.truncate(path, length)
        self.file = path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, float]) -> None:
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()

    def length(self) -> int:
        """Bytes that are safely on disk."""
        os.fsync(self.file.fileno())
        return self.path.stat().st_size

    def close(self) -> None:
        self.file.close()


class Records(Callback):
    """Closes a row at multiples of `log_every` (means over the window), at validations and at the end; never at a save.

    Every rank takes part in the means, only rank 0 has a file and trackers.
    """

    def __init__(
        self, rows: RowFile | None, trackers: Sequence[Tracker], log_every: int, validate_every: int, batch_size: int
    ) -> None:
        self.rows, self.trackers = rows, trackers
        self.log_every, self.validate_every, self.batch_size = log_every, validate_every, batch_size
        self.row: dict[str, float] = {}
        self.clock: tuple[float, int] = (0.0, 0)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.clock = (time.perf_counter(), trainer.global_step)

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        pl_module.watched = (pl_module.steps + 1) % self.log_every == 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = pl_module.steps
        if step % self.log_every == 0 or step == trainer.max_steps:
            self.gather(pl_module)
        if self.row and step % self.validate_every:
            self.close_row(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.row |= pl_module.measured
        self.close_row(trainer, pl_module)

    def gather(self, module: AlternatingModule) -> None:
        means = module.logged.means(summed)
        module.logged.clear()
        refuse_bad(means)
        self.row |= means.values

    def close_row(self, trainer: Trainer, module: AlternatingModule) -> None:
        step, now = trainer.global_step, time.time()
        for player in module.learners:
            self.row[f"train/{player}/lr"] = module.optimizer_of(player).param_groups[0]["lr"]
        counts = {f"updates/{player}": count for player, count in module.progress.updates.items()}
        samples = step * self.batch_size + module.progress.extras * self.batch_size
        row = {"step": step, "time": round(now, 3), **self.row, **counts, "samples": samples}
        module.last_row, self.row = row, {}
        if self.rows is not None:
            self.rows.write(row)
        speed = self.speed(step)
        for tracker in self.trackers:
            tracker.log(step, {name: value for name, value in row.items() if name != "step"} | speed)

    def speed(self, step: int) -> dict[str, float]:
        """Training examples per second since the last row: for trackers, since the file's times already say it."""
        then, before = self.clock
        self.clock = (time.perf_counter(), step)
        elapsed = self.clock[0] - then
        return {"samples_per_second": (step - before) * self.batch_size / elapsed} if elapsed > 0 else {}
