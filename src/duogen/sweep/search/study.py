"""A search: settings drawn one after another by an Optuna study, each judged by all of its seeds together."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import optuna
from optuna.trial import Trial as Asked
from optuna.trial import TrialState

from duogen.errors import UserError, nearest
from duogen.sweep.agenda import Agenda, Outcome, Trial
from duogen.sweep.search.method import Direction, Method
from duogen.sweep.search.pruning import Setting
from duogen.sweep.search.samplers import ask_again, sampler
from duogen.sweep.search.space import Space, spell, unspell

Expand = Callable[[Mapping[str, str], str, Sequence[int]], list[Trial]]
Found = tuple[Mapping[str, str], tuple[float, ...]]

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Search(Agenda):
    """`n_trials` settings of a space, drawn one after another, each with every seed.

    The study is told the aggregate over the seeds of a setting once all of them have ended: FAIL where one failed,
    PRUNED where they were pruned. A setting that is drawn twice is not run twice: it counts, and is told what the first
    was told, when that is known. One that `expand` refuses counts as failed, and `refused` keeps the sentence.

    `recorded` are the settings that earlier commands asked for, in order: they are asked for again first, so that the
    study hears of their ends anew and then goes on to n_trials. `note` hears of every further one before its trials
    start. On one slot an interrupted search draws the same settings as one that was not.
    """

    def __init__(
        self,
        space: Space,
        method: Method,
        n_trials: int,
        seeds: Sequence[int],
        expand: Expand,
        recorded: Iterable[Mapping[str, str]],
        note: Callable[[Mapping[str, str]], None],
        phase: str,
    ) -> None:
        """Raises UserError without a key, a trial or a seed, or where a recorded setting is not of this space."""
        if not space or n_trials < 1 or not seeds:
            raise UserError(
                f"{phase}: a search of {len(space)} keys, n_trials={n_trials}, {len(seeds)} seeds",
                "one key, one trial and one seed at least",
                "name what to search, for example 'optimizer.lr=tag(log,interval(1e-5,1e-2))'",
            )
        self.space, self.method, self.n_trials, self.seeds, self.phase = space, method, n_trials, seeds, phase
        self.expand, self.note = expand, note
        self.settings: list[Setting] = []
        self.owners: dict[str, Setting] = {}
        self.refused: list[tuple[Mapping[str, str], UserError]] = []
        self.asked = 0
        directions: list[Direction] = [objective.direction for objective in method.objectives]
        # Hyperband draws a trial's bracket from the study's name: a fixed one, so that it is the same again.
        self.study = optuna.create_study(study_name=phase, directions=directions, pruner=method.pruner())
        self.recorded = list(islice(recorded, n_trials))
        for setting in self.recorded:
            self.study.enqueue_trial(unspell(space, setting))

    def next(self) -> Trial | None:
        while True:
            for setting in self.open:
                if trial := setting.next():
                    return trial
            if self.asked == self.n_trials or len(self.open) == self.method.n_jobs:
                return None
            self.ask()

    @property
    def open(self) -> list[Setting]:
        return [setting for setting in self.settings if not setting.closed]

    def ask(self) -> None:
        """Asks the study for one more setting."""
        self.study.sampler = sampler(self.method.sampler, self.method.seed, self.asked)
        recorded = self.asked < len(self.recorded)
        asked = ask_again(self.study, self.space) if recorded else self.study.ask(self.space)
        params = spell(asked.params)
        self.asked += 1
        if not recorded:
            self.note(params)
        try:
            trials = self.expand(params, self.phase, self.seeds)
        except UserError as error:
            self.refused.append((params, error))
            self.study.tell(asked, state=TrialState.FAIL)
            return
        self.add(Setting(params, asked, trials))

    def add(self, setting: Setting) -> None:
        """Opens a setting, or joins it to the one that has the same trials."""
        first = self.owners.get(setting.trials[0].key)
        if first is None:
            self.settings.append(setting)
            self.owners.update((trial.key, setting) for trial in setting.trials)
            return
        told = self.study.get_trials(deepcopy=False)[first.asked.number]
        for step, value in told.intermediate_values.items():
            setting.asked.report(value, step)
        first.twins.append(setting.asked)
        if first.closed:
            self.tell(setting.asked, told.state, told.values)

    def reported(self, trial: Trial, step: int, values: Mapping[str, float]) -> bool:
        setting = self.owners[trial.key]
        self.hear(setting, trial, step, values)
        setting.stopping = self.report(setting) or setting.stopping
        return setting.stopping

    def ended(self, trial: Trial, outcome: Outcome) -> None:
        setting = self.owners[trial.key]
        for step, values in outcome.rows:
            self.hear(setting, trial, step, values)
        setting.end(trial, outcome)
        self.report(setting)
        if setting.closed:
            self.close(setting)

    def hear(self, setting: Setting, trial: Trial, step: int, values: Mapping[str, float]) -> None:
        metric = self.method.objectives[0].metric
        if metric in values:
            setting.heard(trial.key, step, values[metric])

    def report(self, setting: Setting) -> bool:
        return len(self.method.objectives) == 1 and setting.report(self.method.aggregate)

    def close(self, setting: Setting) -> None:
        state, values = setting.verdict, None
        if state is TrialState.COMPLETE:
            values = [self.value(setting, objective.metric) for objective in self.method.objectives]
            if not all(math.isfinite(value) for value in values):
                state, values = TrialState.FAIL, None
        for asked in (setting.asked, *setting.twins):
            self.tell(asked, state, values)

    def tell(self, asked: Asked, state: TrialState, values: Sequence[float] | None) -> None:
        self.study.tell(asked, values if state is TrialState.COMPLETE else None, state)

    def value(self, setting: Setting, metric: str) -> float:
        """The aggregate over the seeds of what each validated last. Raises UserError where one never validated it."""
        found = [outcome.last(metric) for outcome in setting.outcomes.values()]
        values = [value for value in found if value is not None]
        if len(values) == len(found):
            return self.method.aggregate(values)
        names = {name for outcome in setting.outcomes.values() for _, row in outcome.rows for name in row}
        raise UserError(
            f"metric: {metric} was not validated",
            ", ".join(nearest(metric, names)) or "nothing: no trial has validated a value",
            "search for a value that is validated, or add the metric that measures it",
        )

    @property
    def finished(self) -> int:
        """How many settings have a value."""
        return len(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    def best(self) -> list[Found]:
        """The best setting and its value; with several objectives the Pareto front, in the order drawn.

        Raises UserError where no setting has finished.
        """
        if not self.finished:
            refused = (
                f"; {len(self.refused)} were refused, the first one so: {self.refused[0][1]}" if self.refused else ""
            )
            raise UserError(
                f"{self.phase}: none of {self.asked} settings has finished{refused}",
                "a search with one setting that finishes",
                "look into the records of its trials, and narrow the space to what can train",
            )
        best = self.study.best_trials if len(self.method.objectives) > 1 else [self.study.best_trial]
        unique = {tuple(spell(trial.params).items()): tuple(trial.values) for trial in reversed(best)}
        return [(dict(params), values) for params, values in reversed(unique.items())]

    @property
    def expected(self) -> int:
        return sum(setting.size for setting in self.settings) + (self.n_trials - self.asked) * len(self.seeds)
