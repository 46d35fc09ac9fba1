"""Views of a run's metrics.jsonl, which is the truth: what a tracker lacks is written again from the run's folder."""

import csv
import io
import json
import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from duogen.callbacks.login import allowed_mode
from duogen.errors import UserError, nearest
from duogen.files import write_atomic

if TYPE_CHECKING:
    import wandb
    from torch.utils.tensorboard import SummaryWriter

PATIENCE_S = 30.0
MODES = ("disabled", "offline", "online")
LONGEST_TAG = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run.

    `id` is the same in every process that continues the run, but for an agent of W&B, which gives its own; `rows` is
    its metrics.jsonl, which ends at `step`, 0 for a new run. A trial has its sweep as `group`, its phase as `job_type`.
    """

    folder: Path
    id: str
    name: str
    group: str | None
    tags: Sequence[str]
    config: Mapping[str, Any]
    step: int
    rows: Path
    job_type: str | None = None


class Tracker(ABC):
    """A view of a run: opened once, given rows and pictures by rising step, closed."""

    @abstractmethod
    def open(self, run: TrackedRun) -> str | None:
        """Begins or continues the view so that it ends at `run.step`; returns the id it has there, if any."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a row: values by name, with `time` in seconds since 1970 among them."""

    @abstractmethod
    def picture(self, step: int, name: str, path: Path) -> None:
        """Adds a picture as pictures/<name>, which no row's value is called, where pictures can be shown."""

    @abstractmethod
    def close(self, exit_code: int) -> None:
        """Ends the view with the exit code of the run; a second time it does nothing."""


def rows(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The step and the values of each whole row of a metrics.jsonl; none where there is no such file."""
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    row = json.loads(line)
                    yield row.pop("step"), row


def replay(run: TrackedRun, tracker: Tracker) -> None:
    """Shows an open tracker the rows that the run's folder holds, and the samples drawn at their steps."""
    for step, values in rows(run.rows):
        tracker.log(step, values)
        if (path := run.folder / "samples" / f"step-{step}.png").exists():
            tracker.picture(step, "samples", path)


class Guarded(Tracker):
    """A tracker that never ends a run: its first failure is one warning, after which it gets no more rows."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker, self.failed = tracker, False

    def open(self, run: TrackedRun) -> str | None:
        return self._attempt(lambda: self.tracker.open(run))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if not self.failed:
            self._attempt(lambda: self.tracker.log(step, values))

    def picture(self, step: int, name: str, path: Path) -> None:
        if not self.failed:
            self._attempt(lambda: self.tracker.picture(step, name, path))

    def close(self, exit_code: int) -> None:
        self._attempt(lambda: self.tracker.close(exit_code))

    def _attempt(self, action: Callable[[], str | None]) -> str | None:
        try:
            return action()
        except Exception as error:
            if not self.failed:
                name, reason = type(self.tracker).__name__, " ".join(f"{type(error).__name__}: {error}".split())
                logger.warning("%s shows no more rows (%s); metrics.jsonl holds everything", name, reason)
            self.failed = True
            return None


class Csv(Tracker):
    """metrics.csv in the run's folder: a line per row, a column per value, `step` and `time` first."""

    def __init__(self) -> None:
        self._path = Path()
        self._columns: list[str] = []

    def open(self, run: TrackedRun) -> str | None:
        self._path = run.folder / "metrics.csv"
        self._rewrite([{"step": step, **values} for step, values in rows(run.rows)])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        row = {"step": step, **values}
        if row.keys() <= set(self._columns):
            with self._path.open("a", encoding="utf-8", newline="") as file:
                self._writer(file).writerow(row)
        else:
            with self._path.open(encoding="utf-8", newline="") as file:
                self._rewrite([*csv.DictReader(file), row])

    def picture(self, step: int, name: str, path: Path) -> None:
        return

    def close(self, exit_code: int) -> None:
        return

    def _rewrite(self, table: Sequence[Mapping[str, Any]]) -> None:
        self._columns = list(dict.fromkeys(["step", "time", *(name for row in table for name in row)]))
        file = io.StringIO()
        self._writer(file).writeheader()
        self._writer(file).writerows(table)
        write_atomic(self._path, file.getvalue().encode())

    def _writer(self, file: Any) -> csv.DictWriter:
        return csv.DictWriter(file, self._columns, lineterminator="\n")


class TensorBoard(Tracker):
    """Event files in tensorboard/ of the run's folder; a continued run purges the steps that it plays again."""

    def __init__(self) -> None:
        self._events: SummaryWriter | None = None

    def open(self, run: TrackedRun) -> str | None:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / "tensorboard"
        new = not folder.exists()
        self._events = SummaryWriter(str(folder), purge_step=run.step + 1)
        if new:
            replay(run, self)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        assert self._events is not None
        for name, value in values.items():
            if name != "time":
                self._events.add_scalar(name, value, step, walltime=values.get("time"))
        self._events.flush()

    def picture(self, step: int, name: str, path: Path) -> None:
        import numpy as np
        from PIL import Image

        assert self._events is not None
        with Image.open(path) as image:
            self._events.add_image(f"pictures/{name}", np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self, exit_code: int) -> None:
        events, self._events = self._events, None
        if events is not None:
            events.close()


class WeightsAndBiases(Tracker):
    """A run on Weights & Biases whose steps are ours; without a login it is offline, and it never asks for one.

    Online, what the server already has is not sent again and what it lacks is sent from the folder. Offline, a killed
    process loses what was not yet on disk, so one file is written anew from the folder each time the run continues.

    Args:
        project: where the run stands.
        mode: online, offline, disabled, or null: as WANDB_MODE and the login allow, offline where no server answers.
    """

    def __init__(self, project: str, mode: str | None) -> None:
        if mode not in (None, *MODES):
            raise UserError(f"W&B mode {mode!r}", ", ".join(nearest(mode, MODES)), "choose one of these, or null")
        self.project, self.mode = project, mode
        self._run: wandb.Run | None = None
        self._first = 0
        self._time: dict[str, float] = {}

    def open(self, run: TrackedRun) -> str | None:
        earlier = list((run.folder / "wandb").glob(f"offline-run-*-{escape(run.id)}*"))
        self._run = self._begun(run)
        self._first = self._run.step
        for segment in earlier:
            shutil.rmtree(segment)
        replay(run, self)
        if not self._run.disabled:
            upload = f"offline; wandb sync {run.folder}/wandb/offline-run-* uploads it"
            place = upload if self._run.offline else self._run.url
            print(f"W&B: {place}", flush=True)
        return self._run.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if self._run is not None and step >= self._first:
            self._time = {"_timestamp": values["time"]} if "time" in values else {}
            shown = {name: value for name, value in values.items() if name != "time"}
            self._run.log(shown | self._time, step=step)

    def picture(self, step: int, name: str, path: Path) -> None:
        import wandb

        if self._run is not None and step >= self._first:
            self._run.log({f"pictures/{name}": wandb.Image(str(path)), **self._time}, step=step)

    def close(self, exit_code: int) -> None:
        run, self._run = self._run, None
        if run is not None and not within(PATIENCE_S, lambda: run.finish(exit_code=exit_code)):
            logger.warning("W&B took more than %g s to finish; the run's folder holds what is missing", PATIENCE_S)

    def _begun(self, run: TrackedRun) -> "wandb.Run":
        import wandb

        mode = allowed_mode(self.mode)
        try:
            return self._begin(run, mode)
        except wandb.Error as error:
            if mode is not None:
                raise
            logger.warning("W&B cannot be reached (%s); this run is tracked offline", " ".join(str(error).split()))
            wandb.teardown()
            return self._begin(run, "offline")

    def _begin(self, run: TrackedRun, mode: Any) -> "wandb.Run":
        import wandb

        wandb.setup(wandb.Settings(silent=True))
        return wandb.init(
            project=self.project,
            id=run.id,
            name=run.name,
            group=run.group,
            job_type=run.job_type,
            tags=list(dict.fromkeys(tag[:LONGEST_TAG] for tag in run.tags)),
            config=dict(run.config),
            dir=str(run.folder),
            mode=mode,
            resume="allow",
            reinit="create_new",  # of an earlier run in this process nothing is reused
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                save_code=False,
                symlink=False,
                x_disable_stats=True,
                x_save_requirements=False,
                init_timeout=PATIENCE_S,
                finish_timeout=PATIENCE_S,
            ),
        )


def within(seconds: float, action: Callable[[], None]) -> bool:
    """Whether the action ended in time, its error raised here; one that did not goes on in a daemon thread."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            action()
        except Exception as error:
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    for error in errors:
        raise error
    return not thread.is_alive()
