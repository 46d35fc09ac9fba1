"""sweep.yaml: what a sweep is, trial by trial, so that the same command continues it and another one is refused."""

import fcntl
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from duogen.errors import UserError
from duogen.experiment.attempt import load
from duogen.experiment.begin import told
from duogen.experiment.key import differences
from duogen.files import write_atomic
from duogen.sweep.agenda import Trial
from duogen.sweep.axes import SEED
from duogen.sweep.naming import label
from duogen.sweep.plan import TRIALS

SHOWN = 5
GROWS = ("n_trials", "n_jobs", "max_failure_rate", "fail_fast_after", "refused")


@dataclass
class Book:
    """The plan of a sweep in its folder; the run records say what became of it.

    `content` holds schema, name, command, overrides, space, sweeper, code (each software it ran under, the last one
    last) and trials (key, setting, seed, phase), in order.
    """

    folder: Path
    content: dict[str, Any]

    @property
    def trials(self) -> list[dict[str, Any]]:
        return self.content["trials"]

    def settings(self, phase: str) -> list[dict[str, str]]:
        """The settings of a phase that were asked for so far, in order, each once."""
        found = {json.dumps(entry["setting"]): entry["setting"] for entry in self.trials if entry["phase"] == phase}
        return list(found.values())

    def add(self, trials: Sequence[Trial]) -> None:
        """Notes trials that are not in it yet; keeps the order.

        Raises:
            UserError: one stands there already, as another run.
        """
        known = {identity(entry): entry["key"] for entry in self.trials}
        changed = [(known[one], trial) for trial in trials if (one := identity(entry_of(trial))) in known
                   and known[one] != trial.key]  # fmt: skip
        if changed:
            differences = {self.change(key, trial): trial.label for key, trial in reversed(changed)}
            raise self.refusal([f"{label}: {change}" for change, label in reversed(differences.items())])
        self.trials.extend(entry_of(trial) for trial in trials if identity(entry_of(trial)) not in known)

    def change(self, key: str, trial: Trial) -> str:
        """How a trial differs from the one that stands in its place."""
        try:
            return told(differences(load(self.folder / TRIALS / f"{key}.json").config, trial.plan.config))
        except UserError:
            return f"key {key} there, {trial.key} here"

    def refuse_removed(self, trials: Sequence[Trial]) -> None:
        """Refuses a grid that has lost trials which this sweep began with."""
        kept = {identity(entry_of(trial)) for trial in trials}
        lost = [entry for entry in self.trials if identity(entry) not in kept]
        if lost:
            raise self.refusal([f"{label(entry['setting'], entry['seed'])} is gone" for entry in lost])

    def refuse_other(self, space: Mapping[str, Any], sweeper: Mapping[str, Any]) -> None:
        """Refuses another space, or another way to search it, where trials were drawn from the old one."""
        if not self.trials:
            return
        before = {"space": {**self.content["space"], SEED: None}, **grown(self.content["sweeper"])}
        now = {"space": {**space, SEED: None}, **grown(sweeper)}
        changed = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
        if changed:
            raise self.refusal([f"{name}: {before.get(name)} there, {now.get(name)} here" for name in changed])

    def refuse_fewer(self, seeds: Sequence[int]) -> None:
        """Refuses to leave out seeds by which earlier settings were judged."""
        before = [int(seed) for seed in str(self.content["space"].get(SEED) or "").split(",") if seed]
        lost = [seed for seed in before if seed not in seeds] if self.trials else []
        if lost:
            raise self.refusal([f"seed={seed} is gone" for seed in lost])

    def refusal(self, lines: Sequence[str]) -> UserError:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        return UserError(
            f"{self.folder} holds another sweep ({'; '.join([*lines[:SHOWN], *more])})",
            "the same trials and more of them, such as a wider seed=range(8)",
            "choose another name=NAME (or hydra.sweep.dir), or start over with fresh=true",
        )

    def write(self) -> None:
        text = yaml.safe_dump(self.content, sort_keys=False, allow_unicode=True, width=120)
        write_atomic(self.folder / "sweep.yaml", text.encode())


def entry_of(trial: Trial) -> dict[str, Any]:
    return {"key": trial.key, "setting": dict(trial.setting), "seed": trial.seed, "phase": trial.phase}


def identity(entry: Mapping[str, Any]) -> tuple[str, str, int]:
    return entry["phase"], json.dumps(entry["setting"], sort_keys=True), entry["seed"]


def grown(sweeper: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sweeper.items() if name not in GROWS}


def read(folder: Path) -> dict[str, Any] | None:
    """What a sweep's folder holds, or None where there is no sweep.

    Raises:
        UserError: the file is none of ours.
    """
    path = folder / "sweep.yaml"
    if not path.exists():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        _ = content["trials"], content["space"], content["sweeper"], content["code"]
        return content
    except (yaml.YAMLError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__})", "a plan that duogen wrote", "mend or remove the file"
        ) from error


def opened(folder: Path, name: str, arguments: Sequence[str], fresh: bool) -> Book:
    """The book of a sweep that begins, or goes on, in a folder."""
    content = None if fresh else read(folder)
    command = shlex.join(["duogen", "train", "-m", *(given for given in arguments if given != "fresh=true")])
    return Book(
        folder,
        {"schema": 1, "name": name, "command": command, "overrides": [], "space": {}, "sweeper": {}, "code": [],
         "trials": []} | (content or {}) | {"command": command},
    )  # fmt: skip


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other commands from planning the same sweep at the same time.

    Raises:
        UserError: the folder cannot be written.
    """
    with lock_file(folder, ".plan") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lock_file(folder: Path, name: str) -> IO[str]:
    """A file of the sweep's folder, which is made, to lock.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("w")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be used: {error.strerror}",
            "a folder that you may write to",
            "choose another hydra.sweep.dir=PATH",
        ) from error
