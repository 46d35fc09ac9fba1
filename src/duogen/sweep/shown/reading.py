"""A sweep's folder as it is read: the plan in sweep.yaml, and the runs' own records."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from duogen.callbacks.trackers import rows
from duogen.conftree import LOADER
from duogen.errors import UserError, nearest
from duogen.experiment.folder import RunFolder
from duogen.experiment.summary import last_error
from duogen.records import FAILED, MetricValue
from duogen.report.statistics import Estimate, estimate
from duogen.sweep.naming import label

PLAN, SCHEMA = "sweep.yaml", 1

Setting = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Row:
    """One trial as it stands; `metrics` are of the test split, `wall_s` and `attempts` over all its processes.

    `status` is the record's, but `waiting` where there is no record, `stopped` where it says running and nobody runs it
    (the sweep's command continues it), and `unreadable` where it cannot be read.
    """

    key: str
    label: str
    setting: Mapping[str, str]
    seed: int
    phase: str
    status: str = "waiting"
    steps: int = 0
    wall_s: float = 0.0
    attempts: int = 0
    error: str | None = None
    metrics: Sequence[MetricValue] = ()

    @property
    def group(self) -> Setting:
        """What its repetitions share: phase and setting."""
        return self.phase, tuple(self.setting.items())


@dataclass(frozen=True)
class Best:
    """A setting, all of whose seeds are done, with the mean of each objective on the validation split."""

    setting: Mapping[str, str]
    phase: str
    values: Sequence[Estimate]


def plan(folder: Path) -> dict[str, Any]:
    """What sweep.yaml holds.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = folder / PLAN
    if not path.is_file():
        raise no_sweep(folder)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), LOADER)
        if content["schema"] != SCHEMA or not all(trial["key"] for trial in content["trials"]):
            raise ValueError(content["schema"])
    except (yaml.YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__})",
            f"a plan that duogen wrote, of schema {SCHEMA}",
            "mend it, or start the sweep in another folder",
        ) from error
    return dict(content)


def no_sweep(folder: Path) -> UserError:
    found = {str(path.parent) for depth in ("*", "*/*") for path in Path("runs").glob(f"{depth}/{PLAN}")}
    near = nearest(str(folder), found)[:5]
    allowed = f"the folder of a sweep{': ' + ', '.join(near) if near else '; none lies below runs/'}"
    return UserError(f"{folder} holds no {PLAN}", allowed, "name one of these, or start a sweep with duogen train -m")


def row(folder: Path, trial: Mapping[str, Any]) -> Row:
    """A trial of the plan, as its folder has it."""
    setting, seed = trial["setting"] or {}, trial["seed"]
    asked = Row(trial["key"], label(setting, seed), setting, seed, trial["phase"])
    run = RunFolder(folder / asked.key)
    try:
        record = run.record()
    except UserError as error:
        return replace(asked, status="unreadable", error=error.given)
    if record is None:
        return asked
    said = (record.error or "").strip()
    unended = record.status == "running"
    return replace(
        asked,
        status="stopped" if unended and not run.held() else record.status,
        steps=max([record.steps, *(step for step, _ in rows(run.rows))]) if unended else record.steps,
        wall_s=record.wall_s,
        attempts=record.failures + (record.status not in FAILED),
        error=last_error(said) if said else None,
        metrics=record.metrics,
    )


def grouped(rows: Sequence[Row]) -> dict[Setting, list[Row]]:
    """The trials by setting, in the plan's order."""
    groups: dict[Setting, list[Row]] = {}
    for one in rows:
        groups.setdefault(one.group, []).append(one)
    return groups


def objectives(content: Mapping[str, Any]) -> dict[str, bool]:
    """What decides: whether more is better, by the metric's short name; empty where nothing was said."""
    sweeper = content.get("sweeper") or {}
    metrics, directions = listed(sweeper.get("metric")), listed(sweeper.get("direction"))
    directions = directions or ["minimize"] * len(metrics)
    return {metric: direction == "maximize" for metric, direction in zip(metrics, directions, strict=True)}


def listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def validated(run: Path, metric: str) -> float | None:
    """A metric's value, by its short name, in the last row of metrics.jsonl that holds it for the validation split."""
    path = run / "metrics.jsonl"
    for line in reversed(path.read_text(encoding="utf-8").splitlines() if path.exists() else []):
        if f'/{metric}"' in line and line.endswith("}"):
            for name, value in json.loads(line).items():
                if name.startswith("validate/") and name.rpartition("/")[2] == metric:
                    return value
    return None


def ranked(folder: Path, rows: Sequence[Row], wanted: Mapping[str, bool]) -> list[Best]:
    """The settings that are done, best first; of several objectives the Pareto front, ordered by the first one.

    Empty where an objective was measured by more than one protocol, such as on two data sets: nothing ranks those.
    """
    if any(protocols(rows, metric) > 1 for metric in wanted):
        return []
    found = []
    for (phase, setting), group in grouped(rows).items():
        if wanted and all(one.status == "done" for one in group):
            told = [[validated(folder / one.key, metric) for one in group] for metric in wanted]
            values = [[value for value in each if value is not None] for each in told]
            if all(len(each) == len(group) for each in values):
                found.append(Best(dict(setting), phase, [estimate(each) for each in values]))
    costs = {id(one): cost(one, wanted) for one in found}
    front = [one for one in found if len(wanted) == 1 or not any(beats(c, costs[id(one)]) for c in costs.values())]
    return sorted(front, key=lambda one: costs[id(one)])


def protocols(rows: Sequence[Row], metric: str) -> int:
    """By how many protocols, the seed aside, a metric was measured."""
    found = [
        value.protocol for one in rows for value in one.metrics if value.name == metric and value.weights != "real"
    ]
    return len(
        {json.dumps({name: said for name, said in one.items() if name != "seed"}, sort_keys=True) for one in found}
    )


def cost(one: Best, wanted: Mapping[str, bool]) -> list[float]:
    """Its values as what is to be made small; what is no number is worst."""
    signed = [-v.mean if higher else v.mean for v, higher in zip(one.values, wanted.values(), strict=True)]
    return [float("inf") if value != value else value for value in signed]


def beats(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether costs `a` dominate `b`: nowhere more, and somewhere less."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and list(a) != list(b)
