"""What a command to train means for the folder it names: begin, continue, nothing to do, or a refusal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duogen.errors import UserError
from duogen.experiment import ranks, trial
from duogen.experiment.folder import RunFolder
from duogen.experiment.key import differences, run_key
from duogen.experiment.resolve import resolve
from duogen.experiment.summary import show
from duogen.experiment.trial import Plan


def train(config: Mapping[str, Any], choices: Mapping[str, Any], overrides: Sequence[str], allow: Sequence[str]) -> int:
    """Runs the composed config, or continues or reports what its folder already holds; returns the exit code."""
    resolved = resolve(config, f"{choices.get('model')}-{choices.get('data')}", allow)
    place = Path(resolved["run_dir"] or Path("runs") / resolved["name"] / run_key(resolved)).expanduser().absolute()
    folder = RunFolder(place)
    plan = Plan(resolved, place, choices, overrides, allow)
    if config["fresh"] and folder.record() is not None:
        with folder.lock():
            folder.clear()
    elif finished(folder, resolved):
        print(f"{place} is done; fresh=true would start it over.")
        show(folder)
        return 0
    count = resolved["trainer"]["devices"]
    if count > 1:
        print(f"{count} ranks; each turn sums its gradients over them in one all-reduce.")
    code = ranks.launch(trial.run, count, plan) if count > 1 else trial.run(plan)
    if folder.record() is not None:
        show(folder)
    return code


def finished(folder: RunFolder, config: Mapping[str, Any]) -> bool:
    """Whether there is nothing left to run; what may not be continued is refused."""
    record = folder.record()
    if record is None:
        refuse_foreign(folder)
        return False
    changed = differences(folder.config(), config)
    if config["resume"]:
        changed.pop("trainer.max_steps", None)
    if changed:
        shown = "; ".join(f"{path}: {old} there, {new} here" for path, (old, new) in changed.items())
        raise UserError(
            f"{folder.path} holds another run ({shown})",
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
        folder = RunFolder(Path(resume).absolute())
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
    return folder, record.overrides
