"""The tables of a sweep: its settings over their seeds, its trials, what went wrong, and the best of a search."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from duogen.experiment.key import leaves
from duogen.records import FAILED, MetricValue
from duogen.report.statistics import estimate
from duogen.sweep.naming import brief, short
from duogen.sweep.shown.reading import Best, Row, Setting, grouped, validated
from duogen.sweep.shown.sheets import Column, Sheet

BAD = ("nan", "unreadable", *FAILED)
ORDER = ("done", "pruned", "running", "waiting", "stopped", "interrupted", "preempted", *BAD)
TOP, MOST = 10, 20  # how many of the best settings, and of the errors, are shown
DIGITS = 12  # of a protocol's value in a header


@dataclass(frozen=True)
class Kind:
    """What makes values comparable: the metric, and its protocol without the run's seed, as canonical JSON.

    `weights` is part of it, raw or ema; for the floor that real data set, it is `real`.
    """

    name: str
    weights: str
    protocol: str
    facts: tuple[str, bool]

    @classmethod
    def of(cls, value: MetricValue) -> "Kind":
        protocol = {name: found for name, found in value.protocol.items() if name != "seed"} | {"split": value.split}
        return cls(
            value.name, value.weights, json.dumps(protocol, sort_keys=True), (value.unit, value.higher_is_better)
        )

    @property
    def terms(self) -> dict[str, str]:
        """All that must be equal, by dotted path."""
        found = leaves({"weights": self.weights, **json.loads(self.protocol)})
        return {path: str(value) for path, value in found.items()}

    def header(self, kinds: Iterable["Kind"]) -> list[str]:
        """Name, direction and unit, and what tells it from other kinds of its name."""
        same = [kind.terms for kind in kinds if kind.name == self.name]
        unit, higher = self.facts
        told = [
            f"{path.rpartition('.')[2]}={value[:DIGITS]}"
            for path, value in self.terms.items()
            if any(terms.get(path) != value for terms in same)
        ]
        return [self.name, f"{'↑' if higher else '↓'} {unit}", *told]


Values = Mapping[Kind, float]


def repeated(rows: Sequence[Row]) -> Sheet:
    """A row per setting: how many of its seeds are done, what became of the others, and the mean of each metric.

    Seeds that failed stay in the denominator. The last row is the floor: real data in the place of generated data.
    """
    groups, values = grouped(rows), {one.key: measured(one) for one in rows if one.status == "done"}
    done = [[values[one.key] for one in group if one.status == "done"] for group in groups.values()]
    found = kinds(values.values())
    floors = [floor(rows, values, kind) for kind in found]
    real = [""] if any(floors) else []
    rest = [counted([one for one in group if one.status != "done"]) for group in groups.values()]
    others = [", ".join(f"{number} {status}" for status, number in counts.items()) for counts in rest]
    shares = [f"{len(d)}/{len(g)}" for d, g in zip(done, groups.values(), strict=True)]
    columns = [
        *named(list(groups), varying(groups), ["real data"] * len(real)),
        Column(["done"], [*shares, *real], once=True),
        *([Column(["others"], [*others, *real], once=True)] if any(others) else []),
    ]
    for kind, under in zip(found, floors, strict=True):
        cells = [*(mean(each, kind) for each in done), *([under] if real else [])]
        columns.append(Column(kind.header(found), cells, value=True))
    title = "settings: mean over seeds ± half width of the 95 % interval, test split"
    styles = ["red" if any(s in BAD for s in counts) else "" for counts in rest]
    return Sheet(title, columns, [*styles, *(["dim"] if real else [])], under=len(real))


def single(folder: Path, rows: Sequence[Row], wanted: Iterable[str]) -> Sheet:
    """A row per trial: status, steps, the last validated objectives of a search, or each metric of the test split."""
    columns = [
        *seeded(rows, varying(grouped(rows))),
        Column(["status"], [one.status for one in rows]),
        Column(["steps"], [f"{one.steps:,}" if one.attempts else "" for one in rows], right=True),
    ]
    wanted = list(wanted)
    for metric in wanted:
        values = [validated(folder / one.key, metric) for one in rows]
        columns.append(Column([metric, "validation"], [number(value) for value in values], value=True))
    if not wanted:
        done = [measured(one) if one.status == "done" else {} for one in rows]
        found = kinds(done)
        columns += [Column(kind.header(found), [mean([one], kind) for one in done], value=True) for kind in found]
    times = [f"{one.wall_s:,.0f}" if one.attempts else "" for one in rows]
    columns.append(Column(["seconds"], times, right=True, machine=True))
    if any(one.attempts > 1 for one in rows):
        columns.append(Column(["tries"], [str(one.attempts or "") for one in rows], right=True, machine=True))
    return Sheet("trials", columns, [style(one.status) for one in rows], brief=True)


def errors(rows: Sequence[Row]) -> Sheet:
    """The last line of each trial's error; of the first twenty, where there are more."""
    wrong = [one for one in rows if one.error]
    shown = wrong[:MOST]
    columns = [
        *seeded(shown, varying(grouped(rows))),
        Column(["status"], [one.status for one in shown]),
        Column(["error"], [one.error or "" for one in shown]),
    ]
    count = "" if shown == wrong else f", the first {MOST} of {len(wrong)}"
    return Sheet(f"errors{count}", columns, [style(one.status) for one in shown])


def leaders(found: Sequence[Best], wanted: Mapping[str, bool], keys: Sequence[str]) -> Sheet:
    """The ten best settings of a search; of several objectives those that no other beats, as Best has them."""
    several = len(wanted) > 1
    shown = found if several else found[:TOP]
    columns = [
        *named([(one.phase, tuple(one.setting.items())) for one in shown], keys),
        Column(["seeds"], [str(one.values[0].n) for one in shown], right=True, once=True),
    ]
    for place, (metric, higher) in enumerate(wanted.items()):
        header = [metric, f"{'↑' if higher else '↓'} validation"]
        columns.append(Column(header, [str(one.values[place]) for one in shown], value=True))
    names = " and ".join(wanted)
    return Sheet(f"Pareto front of {names}" if several else f"best by {names}", columns)


def varying(groups: Iterable[Setting]) -> list[str]:
    """The keys by which settings differ; all keys where they do not."""
    settings = [dict(setting) for _, setting in groups]
    keys = list(dict.fromkeys(key for setting in settings for key in setting))
    return [key for key in keys if len({setting.get(key) for setting in settings}) > 1] or keys


def named(groups: Sequence[Setting], keys: Sequence[str], under: Sequence[str] = ()) -> list[Column]:
    """The columns that name settings: the phase where there are several, and the keys; `under` is the last cell."""
    names = short(keys)
    phases = [phase for phase, _ in groups]
    found = [Column(["phase"], phases)] if len(set(phases)) > 1 else []
    found += [Column([names[key]], [brief(dict(s).get(key, "")) for _, s in groups]) for key in keys]
    found = found or [Column(["setting"], ["all"] * len(groups))]
    blank = [""] * len(under)
    return [replace(c, cells=[*c.cells, *(blank if place else under)]) for place, c in enumerate(found)]


def seeded(rows: Sequence[Row], keys: Sequence[str]) -> list[Column]:
    """The columns that name trials."""
    seeds = Column(["seed"], [str(one.seed) for one in rows], right=True)
    return [*(named([one.group for one in rows], keys) if keys else []), seeds]


def measured(one: Row) -> Values:
    return {Kind.of(value): value.value for value in one.metrics}


def kinds(runs: Iterable[Values]) -> list[Kind]:
    """Every kind of value of generated data, in the order of the records, those of one name together."""
    found = [kind for kind in dict.fromkeys(kind for run in runs for kind in run) if kind.weights != "real"]
    names = list(dict.fromkeys(kind.name for kind in found))
    return sorted(found, key=lambda kind: names.index(kind.name))


def mean(runs: Sequence[Values], kind: Kind) -> str:
    """The kind's mean over the runs that hold it, and how many these are where they are not all; else nothing."""
    values = [run[kind] for run in runs if kind in run]
    if not values:
        return ""
    return f"{estimate(values)}" + (f" (n={len(values)})" if len(values) < len(runs) else "")


def floor(rows: Iterable[Row], values: Mapping[str, Values], kind: Kind) -> str:
    """The mean over seeds of what real data had in the place of generated data; nothing where none was measured."""
    real = replace(kind, weights="real")
    seeds = {one.seed: values[one.key] for one in rows if real in values.get(one.key, {})}
    return mean(list(seeds.values()), real)


def counted(rows: Iterable[Row]) -> dict[str, int]:
    """How many trials have each status, in the order of a trial's life."""
    counts = Counter(one.status for one in rows)
    return {status: counts[status] for status in [*ORDER, *sorted(counts.keys() - set(ORDER))] if counts[status]}


def style(status: str) -> str:
    return "red" if status in BAD else "" if status == "done" else "dim"


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
