"""One trial: a resolved config in, one run folder out."""

import os
import secrets
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGINT
from typing import Any

import torch
from pytorch_lightning import Trainer

from duogen.callbacks.checkpoints import FORMAT, Checkpoints, seed_generators
from duogen.callbacks.guards import Interrupted, NotFinite, Stop
from duogen.callbacks.login import run_id
from duogen.callbacks.progress import Progress
from duogen.callbacks.records import Records, RowFile
from duogen.callbacks.reports import Reports
from duogen.callbacks.samples import Samples
from duogen.callbacks.trackers import Guarded, TrackedRun, Tracker
from duogen.data.examples import ExamplesData
from duogen.errors import UserError
from duogen.experiment import assemble, classifier
from duogen.experiment.build import build
from duogen.experiment.checkpoint import load
from duogen.experiment.crew import world_size
from duogen.experiment.folder import RunFolder
from duogen.experiment.key import run_key
from duogen.experiment.measuring import measured
from duogen.experiment.provenance import continued, provenance
from duogen.modules.alternating import AlternatingModule
from duogen.modules.state import load_progress
from duogen.records import EXIT, RunRecord
from duogen.seeds import derive
from duogen.signals import owning_signals

AGREE_EVERY = 100
PICTURED = {3: 64, 1: 1000}  # images in a grid, points in a scatter plot, by the number of dimensions of an example


@dataclass(frozen=True)
class Plan:
    """A run before it starts: what to run, where, and how it came to be asked for.

    `sweep` is empty for a single run, else: group (the sweep's name), phase, label, prunable, and stop (a file that
    asks for a stop). `code` is what the sweep knows of the code it has loaded; where it is empty, the run finds out.
    """

    config: Mapping[str, Any]
    folder: Path
    choices: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    allow: Sequence[str] = ()
    sweep: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=dict)


def run(plan: Plan, line: Connection | None = None) -> int:
    """Runs the plan on this process's rank and returns its exit code; the folder says all else.

    Args:
        plan: what to run.
        line: to the sweep that wants to hear of it; on rank 0 alone.

    Raises:
        UserError: the config cannot be built, or the folder is in use; then no folder is made.
    """
    config = plan.config
    data = assemble.data(config, plan.allow)
    data.setup()
    _ = data.batches_per_epoch
    module = assemble.module(classifier.fill(config, data), plan.allow)
    assemble.teach(module, config, plan.allow)
    one = Run(plan, module, data, rank_of(config), line)
    with ExitStack() as stack:
        if one.rank == 0:
            stack.enter_context(one.folder.lock())
        return one.run()


def rank_of(config: Mapping[str, Any]) -> int:
    return int(os.environ["RANK"]) if world_size(config["trainer"]) > 1 else 0


class Run:
    """One run in its folder, from the record that says `running` to the one that says how it ended."""

    def __init__(
        self, plan: Plan, module: AlternatingModule, data: ExamplesData, rank: int, line: Connection | None
    ) -> None:
        self.line = line
        self.plan, self.config, self.module, self.data, self.rank = plan, plan.config, module, data, rank
        self.folder = RunFolder(plan.folder)
        self.stop = Stop(min(self.config["log_every"], AGREE_EVERY))
        nodes = self.config["loggers"].values() if rank == 0 else ()
        self.trackers: list[Tracker] = [Guarded(build(node, plan.allow)) for node in nodes]
        self.started = time.monotonic()

    def run(self) -> int:
        resumed = load(self.folder.last) if self.folder.last.exists() else None
        if resumed is not None:
            refuse_unfit(resumed, self.config)
        self.record = self.opened(resumed)
        self.before = self.record.wall_s
        self.file: RowFile | None = None
        code = EXIT["failed"]
        try:
            with owning_signals(self.stop.notice):
                status, error = self.outcome(resumed)
            self.record = self.record.end(status, error)
            code = EXIT[status]
            return code
        finally:
            if self.record.status == "running":
                self.record = self.record.end("failed", traceback.format_exc())
            self.write()
            if self.file is not None:
                self.file.close()
            for tracker in self.trackers:
                tracker.close(code)

    def opened(self, resumed: Mapping[str, Any] | None) -> RunRecord:
        """The record as it stands while the run goes on; a continued run keeps its tracker's id and its keys."""
        key, old = run_key(self.config), self.folder.record()
        record = old or RunRecord(key, [key], "running", self.plan.choices, self.plan.overrides, self.config["seed"])
        known = record.tracker.get("id") or f"{key}-{secrets.token_hex(3)}"
        tracker = {"id": run_id(os.environ, known)}
        data = {"name": str(self.plan.choices.get("data", "")), "sha256": self.data.checksum()}
        now = provenance(data, str(torch.device(self.config["trainer"]["accelerator"])), self.plan.code)
        return replace(
            record,
            key=key,
            overrides=list(self.plan.overrides),
            keys=list(dict.fromkeys([*record.keys, key])),
            status="running",
            tracker=tracker,
            steps=resumed["step"] if resumed else 0,
            provenance=continued(record.provenance, now) if resumed else now,
            sweep=dict(self.plan.sweep),
            error=None,
            metrics=(),
            remarks=(),
        )

    def write(self) -> None:
        if self.rank == 0:
            wall = self.before + time.monotonic() - self.started
            peak = torch.cuda.max_memory_reserved() if torch.cuda.is_initialized() else None
            self.record = replace(self.record, wall_s=round(wall, 3), peak_memory=peak)
            self.folder.write_record(self.record)

    def outcome(self, resumed: Mapping[str, Any] | None) -> tuple[str, str | None]:
        """Trains, measures, and names what happened; only a user's mistake passes through."""
        try:
            self.write()
            self.stop.listen()
            return self.fit(resumed), None
        except UserError:
            raise
        except NotFinite as error:
            return "nan", str(error)
        except (Interrupted, KeyboardInterrupt):
            return self.stopped(), None
        except torch.OutOfMemoryError as error:
            return "oom", str(error)
        except Exception:
            print(traceback.format_exc(), file=sys.stderr)
            return "failed", traceback.format_exc()[-4000:]
        finally:
            self.stop.training = True  # from here on a signal is only noted: the end is being written

    def fit(self, resumed: Mapping[str, Any] | None) -> str:
        config, module = self.config, self.module
        if resumed is not None:
            module.load_state_dict(resumed["module"])
            load_progress(module, resumed)
        self.file = rows = self.rows(resumed)
        self.track(resumed)
        checkpoints = self.checkpoints(rows, resumed)
        batch_size = config["data"]["batch_size"]
        shown = min(PICTURED[len(self.data.shape)], len(self.data.splits["train"]))
        reference = self.data.train_examples(shown).values
        callbacks = [
            Records(rows, self.trackers, config["log_every"], config["validate_every"], batch_size),
            Samples(self.samples_folder(), self.trackers, shown, config["seed"], reference),
            checkpoints,
            self.stop,
            *self.reports(),
            *([Progress(config["log_every"])] if self.rank == 0 else []),
        ]
        trainer = assemble.trainer(config, callbacks)
        seed_generators(derive(config["seed"], "noise", self.rank))
        start_at(trainer, resumed["step"] if resumed else 0)
        trainer.fit(module, datamodule=self.data)
        self.record = replace(self.record, steps=trainer.global_step, updates=dict(module.progress.updates))
        if self.stop.pruned:
            return "pruned"
        if self.stop.signal is not None and trainer.global_step < trainer.max_steps:
            return self.stopped()
        metrics = measured(trainer, module, self.data, config["seed"])
        self.record = replace(self.record, metrics=metrics, remarks=module.remarks)
        return "done"

    def reports(self) -> list[Reports]:
        """What tells a sweep of this run; a run of its own has none."""
        told = self.plan.sweep
        stop = Path(told["stop"]) if told.get("stop") else None
        return [Reports(self.line, self.stop, bool(told.get("prunable")), stop)] if told else []

    def stopped(self) -> str:
        return "interrupted" if self.stop.signal in (None, SIGINT) else "preempted"

    def rows(self, resumed: Mapping[str, Any] | None) -> RowFile | None:
        if self.rank > 0:
            return None
        self.folder.write_config(self.config)
        for part in self.folder.checkpoints.glob(".*"):
            part.unlink()
        return RowFile(self.folder.rows, resumed["rows"] if resumed else 0)

    def samples_folder(self) -> Path | None:
        return self.folder.samples if self.rank == 0 else None

    def track(self, resumed: Mapping[str, Any] | None) -> None:
        """Opens the trackers on this run; rank 0 alone has any."""
        run = TrackedRun(
            folder=self.folder.path,
            id=self.record.tracker["id"],
            name=self.plan.sweep.get("label") or f"{self.config['name']}-{self.record.key}",
            group=self.plan.sweep.get("group"),
            job_type=self.plan.sweep.get("phase"),
            tags=[f"{group}={choice}" for group, choice in self.plan.choices.items() if isinstance(choice, str)],
            config=self.config,
            step=resumed["step"] if resumed else 0,
            rows=self.folder.rows,
        )
        for tracker in self.trackers:
            tracker.open(run)

    def checkpoints(self, rows: RowFile | None, resumed: Mapping[str, Any] | None) -> Checkpoints:
        config = self.config
        portable = {name: value for name, value in config.items() if name not in ("run_dir", "resume", "fresh")}
        return Checkpoints(
            self.folder.checkpoints if self.rank == 0 else None,
            {"format": FORMAT, "config": portable, "key": self.record.key},
            rows,
            config["checkpoint_every"],
            config["validate_every"],
            config["keep"],
            resumed,
            assemble.better(self.module),
            self.record.checkpoints,
            self.note,
        )

    def note(self, files: list[dict[str, Any]]) -> None:
        """A new checkpoint stands: the record says so."""
        updates = dict(self.module.progress.updates)
        self.record = replace(self.record, checkpoints=list(files), steps=files[-1]["step"], updates=updates)
        self.write()


def start_at(trainer: Trainer, step: int) -> None:
    """Lets a new Trainer count on from `step`: its steps, and the batches by which validations are due."""
    loop = trainer.fit_loop.epoch_loop
    for counter in (loop.manual_optimization.optim_step_progress.total, loop.batch_progress.total):
        for name in vars(counter):
            setattr(counter, name, step)


def refuse_unfit(resumed: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses to continue a checkpoint of another number of ranks, or one beyond the steps asked for."""
    saved, ranks = len(resumed["ranks"]), world_size(config["trainer"])
    if saved != ranks:
        raise UserError(
            f"trainer.devices={ranks} cannot continue a run of {saved}",
            f"trainer.devices={saved}",
            "continue with as many ranks as it began with, or start over with fresh=true",
        )
    if resumed["step"] > config["trainer"]["max_steps"]:
        raise UserError(
            f"the run is at step {resumed['step']}, beyond the {config['trainer']['max_steps']} asked for",
            f"{resumed['step']} steps or more",
            "ask for more steps, use another run_dir, or start over with fresh=true",
        )
