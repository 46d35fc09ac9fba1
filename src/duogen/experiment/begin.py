"""What a command to train means for the folder it names: begin, continue, nothing to do, or a refusal."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duogen.errors import UserError
from duogen.experiment import assemble, trial
from duogen.experiment.check import rehearse
from duogen.experiment.crew import AGREED, Crew, run, world_size
from duogen.experiment.folder import RunFolder
from duogen.experiment.key import differences, run_key
from duogen.experiment.resolve import resolve
from duogen.experiment.slurm import meet, rank_environment, speaks, threads
from duogen.experiment.summary import show
from duogen.experiment.trial import Plan
from duogen.experiment.verdict import settle
from duogen.records import EXIT

ANEW = ("fresh", "resume", "run_dir")


def train(config: Mapping[str, Any], choices: Mapping[str, Any], overrides: Sequence[str], allow: Sequence[str]) -> int:
    """Runs the composed config, or continues or reports what its folder already holds; returns the exit code."""
    resolved = resolve(config, f"{choices.get('model')}-{choices.get('data')}", allow)
    folder = RunFolder(place(resolved))
    begun = folder.record() is not None and folder.config() is not None
    if not begun:
        refuse_foreign(folder)
    elif not config["fresh"] and finished(folder, resolved):
        if speaks(os.environ):
            print(f"{folder.path} is done; fresh=true would start it over.")
            show(folder)
        return 0
    code = launch(Plan(resolved, folder.path, choices, overrides, allow), over=config["fresh"] or not begun)
    if speaks(os.environ):
        show(folder)
    return code


def place(config: Mapping[str, Any]) -> Path:
    """The run's folder: as given, else one that answers to the run's key, else a new one of that name."""
    if config["run_dir"]:
        return Path(config["run_dir"]).expanduser().absolute()
    home, key = (Path("runs") / config["name"]).absolute(), run_key(config)
    if not (home / key).exists():
        for record in home.glob("*/record.json"):
            if f'"{key}"' in record.read_text(encoding="utf-8"):
                return record.parent
    return home / key


def launch(plan: Plan, over: bool) -> int:
    """Runs the plan on its ranks, after all that can be refused before a folder is made, cleared or given to ranks."""
    config, folder, count = plan.config, RunFolder(plan.folder), world_size(plan.config["trainer"])
    rehearse(config, plan.allow)
    if (placed := rank_environment(os.environ)) is not None:
        return launched(plan, placed, over)
    if config["trainer"].get("nodes", 1) > 1:
        nodes = config["trainer"]["nodes"]
        raise UserError(
            f"trainer.nodes={nodes} on one machine", "ranks that Slurm has started",
            "begin it with srun, or in a sweep with hydra/launcher=slurm",
        )  # fmt: skip
    if count > 1 or folder.path.exists():
        data = assemble.data(config, plan.allow)
        data.setup()
        _ = data.batches_per_epoch
    if over and folder.path.exists():
        with folder.lock():
            folder.clear()
    if count == 1 and config["trial"]["timeout"] is None:
        return trial.run(plan)
    if count > 1:
        with folder.lock():
            print(f"{count} ranks; each turn sums its gradients over them in one all-reduce.")
    return supervised(plan, Crew(trial.run, [(plan,)] * count, **limits(config)))


def launched(plan: Plan, placed: Mapping[str, str], over: bool) -> int:
    """Runs this task's rank of a run whose ranks srun has started, one a task; the first keeps the time.

    Raises:
        UserError: srun has started another number of them.
    """
    given, wanted = int(placed["WORLD_SIZE"]), world_size(plan.config["trainer"])
    if given != wanted:
        raise UserError(
            f"srun has started {given} tasks for {wanted} ranks", f"srun --ntasks={wanted}",
            "let tasks and trainer.nodes x trainer.devices agree",
        )  # fmt: skip
    folder, first = RunFolder(plan.folder), placed["RANK"] == "0"
    if first and over and folder.path.exists():
        with folder.lock():
            folder.clear()
    meet(placed)
    crew = Crew(trial.run, [(plan,)], placed, threads(os.environ), **(limits(plan.config) if first else {}))
    if first:
        return supervised(plan, crew)
    code = run(crew)
    return 1 if code < 0 else code


def limits(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a crew is told of the time that a run may take."""
    return {name: config["trial"][name] for name in ("timeout", "grace")}


def supervised(plan: Plan, crew: Crew) -> int:
    """Runs the plan's crew, completes its record, and returns the exit code that the record's status has."""
    folder = RunFolder(plan.folder)
    before = folder.stamp()
    code = run(crew)
    if code in (2, *AGREED) and not crew.timed_out:
        return code
    return EXIT[settle(plan, code, crew.timed_out, untouched=folder.stamp() == before).status]


def finished(folder: RunFolder, config: Mapping[str, Any]) -> bool:
    """Whether there is nothing left to run; what may not be continued is refused."""
    record, old = folder.record(), folder.config()
    assert record is not None
    assert old is not None
    changed = differences(old, config)
    if config["resume"] or run_key(config) in record.keys:
        changed.pop("trainer.max_steps", None)
    if changed:
        raise UserError(
            f"{folder.path} holds another run ({told(changed)})",
            "the same settings; trainer.max_steps may differ with resume=PATH",
            "use another run_dir, drop the override, or start over with fresh=true",
        )
    if record.status == "nan":
        raise UserError(
            f"{folder.path} ended with nan: {record.error}",
            "a run that can be continued",
            "change the settings, or start it over with fresh=true",
        )
    return record.status in ("done", "pruned") and record.steps >= config["trainer"]["max_steps"]


def told(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """The differences in words; one that interpolations repeat is told once, where its path is shortest."""
    first: dict[tuple[str, str], str] = {}
    for path in sorted(changed, key=lambda path: (path.count("."), path)):
        first.setdefault((path.rpartition(".")[2], repr(changed[path])), path)
    return "; ".join(f"{path}: {changed[path][0]} there, {changed[path][1]} here" for path in first.values())


def refuse_foreign(folder: RunFolder) -> None:
    strange = folder.foreign()
    if strange:
        raise UserError(
            f"run_dir={folder.path} holds other files ({', '.join(strange[:3])})",
            "an empty or new folder, or one of an earlier run",
            "choose another run_dir",
        )


def resumed(resume: str, name: str) -> tuple[RunFolder, Sequence[str]]:
    """The folder that `resume` names, and the overrides that its run was begun with.

    Raises:
        UserError: there is nothing to continue there.
    """
    if resume != "last":
        folder = RunFolder(Path(resume).expanduser().absolute())
    else:
        records = sorted((Path("runs") / name).glob("*/record.json"), key=lambda path: path.stat().st_mtime)
        folder = RunFolder(records[-1].parent.absolute() if records else Path("runs") / name)
    record = folder.record()
    if record is None:
        raise UserError(
            f"resume={resume} finds no run in {folder.path}",
            "last, or the folder of a run (it holds record.json)",
            "start the run without resume",
        )
    return folder, [given for given in record.overrides if given.partition("=")[0].lstrip("+") not in ANEW]
