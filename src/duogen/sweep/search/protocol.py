"""Agendas made of agendas: phases one after another, compared options side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from duogen.errors import UserError
from duogen.seeds import derive
from duogen.sweep.agenda import Agenda, Listed, Outcome, Trial
from duogen.sweep.search.method import Method
from duogen.sweep.search.phases import Phase
from duogen.sweep.search.space import Space, fits, shrink
from duogen.sweep.search.study import Expand, Found, Search

Recorded = Mapping[str, Sequence[Mapping[str, str]]]
Note = Callable[[str, Mapping[str, str]], None]


@dataclass(frozen=True)
class Stage:
    """A phase that is built when the ones before it have ended, and how many trials it will be."""

    build: Callable[[Sequence[Search]], Agenda]
    expected: int


class Chain(Agenda):
    """Agendas one after another, each built from the searches before it.

    Where one cannot be built, because no setting finished, the chain ends; `remark` says so.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = stages
        self.built: list[Agenda] = []
        self.running = 0
        self.remark: UserError | None = None

    def next(self) -> Trial | None:
        while True:
            trial = self.built[-1].next() if self.built else None
            if trial is not None:
                self.running += 1
                return trial
            if self.running or self.over:
                return None
            self.go_on()

    @property
    def over(self) -> bool:
        return self.remark is not None or len(self.built) == len(self.stages)

    @property
    def searches(self) -> list[Search]:
        return [agenda for agenda in self.built if isinstance(agenda, Search)]

    def go_on(self) -> None:
        try:
            self.built.append(self.stages[len(self.built)].build(self.searches))
        except UserError as error:
            if not self.built:
                raise
            self.remark = error

    def reported(self, trial: Trial, step: int, values: Mapping[str, float]) -> bool:
        return self.built[-1].reported(trial, step, values)

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        self.running -= 1
        self.built[-1].ended(trial, outcome)

    @property
    def expected(self) -> int:
        left = () if self.remark else self.stages[len(self.built) :]
        return sum(agenda.expected or 0 for agenda in self.built) + sum(stage.expected for stage in left)


class Abreast(Agenda):
    """Agendas side by side, by name: each gives a trial in turn, and hears of its own only."""

    def __init__(self, agendas: Mapping[str, Agenda]) -> None:
        self.agendas = dict(agendas)
        self.turn = list(self.agendas.values())
        self.owners: dict[tuple[str, str, str], Agenda] = {}

    def next(self) -> Trial | None:
        for agenda in list(self.turn):
            self.turn.remove(agenda)
            self.turn.append(agenda)
            if trial := agenda.next():
                self.owners[asked(trial)] = agenda
                return trial
        return None

    def reported(self, trial: Trial, step: int, values: Mapping[str, float]) -> bool:
        return self.owners[asked(trial)].reported(trial, step, values)

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        self.owners[asked(trial)].ended(trial, outcome)

    @property
    def expected(self) -> int:
        return sum(agenda.expected or 0 for agenda in self.agendas.values())


def asked(trial: Trial) -> tuple[str, str, str]:
    """What a trial was asked for as: two options that turn out to be one run ask for one key."""
    return trial.key, trial.phase, trial.label


def protocol(
    space: Space,
    method: Method,
    phases: Sequence[Phase],
    compared: Sequence[Mapping[str, str]],
    seeds: Sequence[int],
    expand: Expand,
    recorded: Recorded,
    note: Note,
) -> Abreast:
    """Every compared combination through the same phases, each study with as many draws: equal tuning effort.

    Wide search, narrow search around the best, the best with fresh seeds is the protocol of Lucic et al. 2018 and
    Kurach et al. 2019. The studies of one phase have one seed: random draws are the same for every combination.
    `recorded` and `note` name a study by combination and phase, `adversarial=hinge/wide`, or by the phase alone where
    nothing is compared: `compared` is then one empty mapping. Raises UserError for shrink with several objectives.
    """
    if len(method.objectives) > 1 and any(phase.shrink is not None for phase in phases):
        raise UserError("a phase with shrink for several metrics", "shrink with one metric", "search for one of them")
    agendas: dict[str, Agenda] = {}
    for fixed in compared:
        name = ",".join(f"{key}={value}" for key, value in fixed.items())
        part = Part(space, method, seeds, partial(_joined, expand, fixed))
        studies = {phase.name: f"{name}/{phase.name}" if name else phase.name for phase in phases}
        agendas[name] = Chain(
            [
                part.stage(phase, recorded.get(study, ()), partial(note, study))
                for phase, study in zip(phases, studies.values(), strict=True)
            ]
        )
    return Abreast(agendas)


@dataclass(frozen=True)
class Part:
    """One compared combination: its space, and how a setting of it becomes trials.

    A recorded setting outside of a shrunk space is no longer of the study: a trial run again has moved the best.
    """

    space: Space
    method: Method
    seeds: Sequence[int]
    expand: Expand

    def stage(
        self, phase: Phase, recorded: Sequence[Mapping[str, str]], note: Callable[[Mapping[str, str]], None]
    ) -> Stage:
        seeds = self.seeds if phase.seeds is None else phase.seeds
        if phase.n_trials is None:
            return Stage(partial(self.repeat, phase.name, seeds), len(seeds))
        build = partial(self.search, phase, phase.n_trials, seeds, recorded, note)
        return Stage(build, phase.n_trials * len(seeds))

    def repeat(self, phase: str, seeds: Sequence[int], before: Sequence[Search]) -> Listed:
        return Listed(trial for params, _ in front(before) for trial in self.expand(params, phase, seeds))

    def search(
        self,
        phase: Phase,
        n_trials: int,
        seeds: Sequence[int],
        recorded: Sequence[Mapping[str, str]],
        note: Callable[[Mapping[str, str]], None],
        before: Sequence[Search],
    ) -> Search:
        method = replace(self.method, seed=derive(self.method.seed, phase.name))
        space = self.space
        if phase.shrink is not None:
            space = shrink(space, front(before)[0][0], phase.shrink)
            recorded = [setting for setting in recorded if fits(space, setting)]
        return Search(space, method, n_trials, seeds, self.expand, recorded, note, phase.name)


def front(searches: Sequence[Search]) -> list[Found]:
    """The best of several searches for the same objectives: one setting, or the Pareto front of all of theirs.

    Raises UserError where none of them has a finished setting.
    """
    signs = [1 if objective.direction == "minimize" else -1 for objective in searches[0].method.objectives]
    found = [one for search in searches if search.finished for one in search.best()] or searches[-1].best()
    costs = [tuple(sign * value for sign, value in zip(signs, values, strict=True)) for _, values in found]
    if len(signs) == 1:
        return [found[costs.index(min(costs))]]
    return [one for one, cost in zip(found, costs, strict=True) if not any(_dominates(other, cost) for other in costs)]


def _joined(
    expand: Expand, fixed: Mapping[str, str], params: Mapping[str, str], phase: str, seeds: Sequence[int]
) -> list[Trial]:
    return expand({**fixed, **params}, phase, seeds)


def _dominates(other: Sequence[float], cost: Sequence[float]) -> bool:
    return other != cost and all(a <= b for a, b in zip(other, cost, strict=True))
