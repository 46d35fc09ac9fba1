"""From settings to trials: each composed, resolved, and written to the one file that goes into it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from duogen.complete import complete
from duogen.errors import UserError
from duogen.experiment.key import run_key
from duogen.experiment.resolve import resolve
from duogen.experiment.trial import Plan
from duogen.files import write_atomic
from duogen.loading import Known
from duogen.sweep.agenda import Trial
from duogen.sweep.axes import SEED, Setting

TRIALS = "trials"


@dataclass(frozen=True)
class Planner:
    """What the trials of one sweep have in common.

    Args:
        name: of the sweep, the group of its trials.
        folder: where the sweep lies; each trial has a folder of its key's name in it.
        fixed: overrides that all trials share.
        config_dir, allow: as the command line gives them.
        code: the software that the trials will run, `provenance.software()` at this time.
        prunable: whether a trial may be stopped for its values.
        elsewhere: the kind of device of the machines that run them, cpu or cuda; null for this one.
        known: configs composed before.
    """

    name: str
    folder: Path
    fixed: Sequence[str]
    config_dir: Path | None
    allow: Sequence[str]
    code: Mapping[str, Any]
    prunable: bool = False
    elsewhere: str | None = None
    known: Known = field(default_factory=dict)

    def trial(self, setting: Setting, seed: int, phase: str) -> Trial:
        """One setting with one seed, its file not yet written.

        Raises:
            UserError: the setting cannot be composed, or makes no sense.
        """
        overrides = [*self.fixed, *setting.overrides, f"{SEED}={seed}"]
        composed = complete(overrides, self.config_dir, self.allow, self.known)
        config = resolve(composed.config | {"name": self.name}, self.name, self.allow, self.elsewhere)
        key = run_key(config)
        plan = Plan(config, self.folder / key, composed.choices, overrides, list(self.allow), code=self.code)
        trial = Trial(plan, self.folder / TRIALS / f"{key}.json", setting.names, seed, phase)
        told = {"group": self.name, "phase": phase, "label": trial.label, "setting": dict(setting.names),
                "prunable": self.prunable, "stop": str(trial.file.with_suffix(".stop"))}  # fmt: skip
        return replace(trial, plan=replace(plan, sweep=told))

    def trials(self, settings: Iterable[Setting], seeds: Sequence[int], phase: str, skip: bool = False) -> list[Trial]:
        """Every setting with every seed: all settings with the first seed, then all with the next.

        With `skip`, settings that make no sense are named and left out.

        Raises:
            UserError: settings that make no sense, all named at once, or two that are the same run.
        """
        found: list[Trial] = []
        refused: list[tuple[str, UserError]] = []
        settings = list(settings)
        for seed in seeds:
            for setting in settings:
                try:
                    found.append(self.trial(setting, seed, phase))
                except UserError as error:
                    refused.append((name(setting), error))
            if refused and (not skip or len(refused) == len(settings)):
                raise refusal(refused, len(settings))
            for label, error in refused:
                print(f"left out {label}: {error.given}")
            left_out, refused = {label for label, _ in refused}, []
            settings = [setting for setting in settings if name(setting) not in left_out]
        refuse_twins(found)
        return found


def name(setting: Setting) -> str:
    return ", ".join(f"{key}={value}" for key, value in setting.names.items())


def refusal(refused: Sequence[tuple[str, UserError]], count: int) -> UserError:
    """The refusal of settings; of a mistake that all share, that mistake alone."""
    first = refused[0][1]
    if len(refused) == count and len({error.given for _, error in refused}) == 1:
        return first
    told = "; ".join(f"{label}: {error.given}" for label, error in refused[:5])
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    return UserError(
        f"{len(refused)} of {count} settings make no sense ({told}{more})",
        first.allowed,
        f"leave them out, or {first.remedy}"
        + ("" if len(refused) == count else "; hydra.sweeper.refused=skip runs the others"),
    )


def refuse_twins(trials: Sequence[Trial]) -> None:
    """Refuses two settings that are one run: what tells them apart decides no result."""
    seen: dict[str, Trial] = {}
    for trial in trials:
        twin = seen.setdefault(trial.key, trial)
        if twin is not trial:
            raise UserError(
                f"{twin.label} and {trial.label} are the same run",
                "settings that differ in what decides a result",
                "leave one of them out",
            )


def write(trial: Trial) -> None:
    """Writes the trial's file, unless it stands as it should."""
    content = (json.dumps(asdict(trial.plan) | {"folder": str(trial.plan.folder)}, indent=1) + "\n").encode()
    if not trial.file.exists() or trial.file.read_bytes() != content:
        write_atomic(trial.file, content)
