"""What a sweep knows of itself while it runs: who is how far, who has ended how, and how long it may still take."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from duogen.sweep.agenda import Trial

VALIDATED = "validate/"


@dataclass
class Running:
    """A trial on its slots since `since`; `values` are the last that it validated, by short name."""

    trial: Trial
    slots: Sequence[str]
    since: float
    step: int = 0
    first: tuple[float, int] | None = None
    speed: float | None = None
    values: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return steps_of(self.trial)

    def hear(self, now: float, step: int, row: Mapping[str, float]) -> None:
        """Takes a row; the speed, in steps per second, is counted from the first one, which may have had to compile."""
        self.step = step
        self.values |= {n.rpartition("/")[2]: v for n, v in row.items() if n.startswith(VALIDATED)}
        self.first = self.first or (now, step)
        then, begun = self.first
        if step > begun and now > then:
            self.speed = (step - begun) / (now - then)


class Board:
    """The state of a sweep, told of each event.

    Args:
        slots: how many trials of one slot may run at once; 0 where nobody knows: as many as run, then.
        expected: how many trials there will be in all, or None where nobody knows.
        metric: the short name of the validated value that decides; by default the first that is heard of.
        higher_is_better: its direction.
    """

    def __init__(self, slots: int, expected: int | None, metric: str | None, higher_is_better: bool) -> None:
        self.slots, self.expected = slots, expected
        self.metric, self.higher_is_better = metric, higher_is_better
        self.running: dict[str, Running] = {}
        self.ends: dict[str, str] = {}
        self.earlier: set[str] = set()
        self.best: tuple[float, str] | None = None
        self.sizes: dict[str, int] = {}
        self.wall_s, self.steps = 0.0, 0

    def start(self, trial: Trial, slots: Sequence[str], now: float) -> None:
        self.ends.pop(trial.key, None)
        self.sizes[trial.key] = steps_of(trial)
        self.running[trial.key] = Running(trial, list(slots), now)

    def hear(self, trial: Trial, step: int, row: Mapping[str, float], now: float) -> None:
        if (one := self.running.get(trial.key)) is not None:
            one.hear(now, step, row)
            self.metric = self.metric or next(iter(one.values), None)

    def end(self, trial: Trial, status: str, wall_s: float) -> float | None:
        """Takes an end, and returns the value by which the trial is judged, if it has one."""
        self.ends[trial.key] = status
        self.sizes[trial.key] = steps_of(trial)
        one = self.running.pop(trial.key, None)
        value = one.values.get(self.metric) if one and self.metric else None
        if status == "done":
            self.wall_s, self.steps = self.wall_s + wall_s, self.steps + steps_of(trial)
            self.judge(value, trial.label)
        return value

    def skip(self, trial: Trial, status: str, values: Mapping[str, float]) -> None:
        """Takes a trial that an earlier command has ended, with what it validated last."""
        self.ends[trial.key] = status
        self.earlier.add(trial.key)
        self.sizes[trial.key] = steps_of(trial)
        if status == "done" and self.metric:
            self.judge(values.get(self.metric), trial.label)

    def judge(self, value: float | None, label: str) -> None:
        if value is None or not isfinite(value):
            return
        if self.best is None or (value > self.best[0] if self.higher_is_better else value < self.best[0]):
            self.best = (value, label)

    @property
    def waiting(self) -> int | None:
        """How many trials have not begun."""
        return None if self.expected is None else max(0, self.expected - len(self.ends) - len(self.running))

    @property
    def counts(self) -> dict[str, int]:
        """How many trials have ended how, run, and wait."""
        return {**Counter(self.ends.values()), "running": len(self.running), "waiting": self.waiting or 0}

    @property
    def share(self) -> float:
        """How many trials' worth of steps are over."""
        return len(self.ends) + sum(min(1.0, one.step / one.total) for one in self.running.values())

    def left(self) -> float | None:
        """Seconds that the rest may take, or None while there is nothing to count from.

        A step costs what it cost in the trials that are done, in one that runs what it costs there; a trial that waits
        has as many steps as those that began have on average. The slots share the work evenly, but none shares a trial.
        """
        cost = self.step_s()
        if cost is None or self.waiting is None:
            return None
        rest = {key: (r.total - r.step) * (1 / r.speed if r.speed else cost) for key, r in self.running.items()}
        work = sum(seconds * len(self.running[key].slots) for key, seconds in rest.items())
        work += self.waiting * cost * sum(self.sizes.values()) / len(self.sizes)
        busy = sum(len(one.slots) for one in self.running.values())
        return max([work / (self.slots or busy or 1), *rest.values()])

    def step_s(self) -> float | None:
        """Seconds per step."""
        if self.steps:
            return self.wall_s / self.steps
        speeds = [one.speed for one in self.running.values() if one.speed]
        return len(speeds) / sum(speeds) if speeds else None


def steps_of(trial: Trial) -> int:
    return int(trial.plan.config["trainer"]["max_steps"])
