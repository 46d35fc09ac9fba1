"""What a sweep wants to run next, and what it makes of what it hears: a list for a grid, a study for a search."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from duogen.experiment.crew import world_size
from duogen.experiment.trial import Plan
from duogen.sweep.naming import label

ENDED = ("done", "pruned", "nan", "failed", "oom", "timeout")
GOOD = ("done", "pruned")


@dataclass(frozen=True)
class Trial:
    """One setting with one seed: what any launcher runs.

    `setting` holds the overrides that tell this setting from the others, by key, and never the seed; trials that share
    setting and phase are repetitions. `file` is the one resolved config that goes in, `plan.folder` the run folder that
    comes out; its name is the run's key.
    """

    plan: Plan
    file: Path
    setting: Mapping[str, str]
    seed: int
    phase: str = "grid"
    alone: bool = False  # on its slot, whoever else could share it

    @property
    def key(self) -> str:
        return self.plan.folder.name

    @property
    def slots(self) -> int:
        """The slots that it needs together: one for each of its ranks."""
        return world_size(self.plan.config["trainer"])

    @property
    def label(self) -> str:
        """Its short name, such as `generator=mlp,seed=0`."""
        return label(self.setting, self.seed)


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, by its record's status, and what it validated: rows of (step, values by short name)."""

    status: str
    rows: Sequence[tuple[int, Mapping[str, float]]] = field(default_factory=tuple)
    error: str | None = None

    def last(self, metric: str) -> float | None:
        """The value of a metric when it was last validated; None where it never was."""
        return next((values[metric] for _, values in reversed(self.rows) if metric in values), None)


class Agenda(ABC):
    """Which trial comes next. It knows nothing of slots, processes or folders, and is told of every end once.

    A trial that an earlier command has ended is asked for all the same: its end is then told at once, from its record.
    """

    @abstractmethod
    def next(self) -> Trial | None:
        """The next trial to run; None where none may start before another ends, or none is left."""

    @abstractmethod
    def ended(self, trial: Trial, outcome: Outcome) -> None:
        """A trial that `next` gave has ended, or is given up."""

    def reported(self, trial: Trial, step: int, values: Mapping[str, float]) -> bool:
        """A running trial has validated these values (by short name) at `step`; whether it is to be pruned now."""
        return False

    @property
    def expected(self) -> int | None:
        """How many trials there will be in all, as far as is known."""
        return None


class Listed(Agenda):
    """Trials in a fixed order: a grid."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self.trials = list(trials)
        self.waiting = iter(self.trials)

    def next(self) -> Trial | None:
        return next(self.waiting, None)

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        return

    @property
    def expected(self) -> int:
        return len(self.trials)
