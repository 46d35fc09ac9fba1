"""The repetitions of one setting as a study sees them: one curve, one end, and never a seed."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.trial import Trial as Asked
from optuna.trial import TrialState

from duogen.sweep.agenda import GOOD, Outcome, Trial

Aggregate = Callable[[Sequence[float]], float]


@dataclass
class Setting:
    """One setting that a study asked for, its trials (one for each seed), and what came of them.

    `live` are those handed out and not ended. `stopping` holds while they are asked to stop; whether the setting was
    pruned is decided by how they ended, so that the records alone repeat it.
    """

    params: Mapping[str, str]
    asked: Asked
    trials: Sequence[Trial]
    twins: list[Asked] = field(default_factory=list)
    live: set[str] = field(default_factory=set)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.waiting = deque(self.trials)
        self.curves: dict[str, dict[int, float]] = {}
        self.seen: set[int] = set()

    def next(self) -> Trial | None:
        """The next seed to run; none while the others are asked to stop."""
        if self.stopping or not self.waiting:
            return None
        trial = self.waiting.popleft()
        self.live.add(trial.key)
        return trial

    def heard(self, key: str, step: int, value: float) -> None:
        self.curves.setdefault(key, {})[step] = value

    def due(self, aggregate: Aggregate) -> list[tuple[int, float]]:
        """The steps that every live seed has now reached, each once, with the aggregate of the seeds' values there."""
        reached = min((max(self.curves.get(key, {0: 0.0})) for key in self.live), default=None)
        steps = {step for curve in self.curves.values() for step in curve} - self.seen
        common = sorted(step for step in steps if reached is None or step <= reached)
        self.seen.update(common)
        return [(step, aggregate([curve[step] for curve in self.curves.values() if step in curve])) for step in common]

    def report(self, aggregate: Aggregate) -> bool:
        """Tells the study the steps that are due; whether its pruner would stop the setting at one of them."""
        stop = False
        for step, value in self.due(aggregate):
            for asked in (self.asked, *self.twins):
                asked.report(value, step)
            stop = self.asked.should_prune() or stop
        return stop

    def end(self, trial: Trial, outcome: Outcome) -> None:
        """Takes the end of a trial; seeds that have not started are dropped where none can change the verdict."""
        self.live.discard(trial.key)
        self.outcomes[trial.key] = outcome
        if outcome.status != "done":
            self.waiting.clear()
        if not self.live and self.verdict is TrialState.COMPLETE:
            self.stopping = False  # all had finished before they could obey: the setting goes on

    @property
    def closed(self) -> bool:
        return not self.live and not self.waiting

    @property
    def verdict(self) -> TrialState:
        """FAIL where a seed neither finished nor was pruned: a mean over the others would flatter."""
        statuses = {outcome.status for outcome in self.outcomes.values()}
        if not statuses.issubset(GOOD):
            return TrialState.FAIL
        return TrialState.PRUNED if "pruned" in statuses else TrialState.COMPLETE

    @property
    def size(self) -> int:
        """The trials of it that ran, run, or still will."""
        return len(self.outcomes) + len(self.live) + len(self.waiting)
