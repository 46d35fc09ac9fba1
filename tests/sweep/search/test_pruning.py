"""Pruning: a setting is judged by what its live seeds have reached together."""

from functools import partial
from statistics import fmean

import pytest
from optuna.distributions import CategoricalDistribution
from optuna.pruners import HyperbandPruner, MedianPruner, PercentilePruner
from optuna.trial import TrialState

from duogen.errors import UserError
from duogen.sweep.agenda import Outcome
from duogen.sweep.search.study import Search
from sweep.studies import SAMPLERS, Driver, expand, method

SPACE = {"value": CategoricalDistribution([str(value) for value in range(50)])}
MEDIAN = partial(MedianPruner, n_startup_trials=3, n_warmup_steps=0)
STEPS = (10, 20, 30)


def search(values, pruner=MEDIAN, seeds=(0,), note=lambda params: None, metrics=("loss",), directions=("minimize",)):
    """A search whose settings are planted: the recorded ones are drawn first."""
    how = method(pruner=pruner, metrics=metrics, directions=directions)
    recorded = [{"value": str(value)} for value in values]
    return Search(SPACE, how, len(values), seeds, expand, recorded, note, "search")


def planted(trial):
    """Ends at the setting's value; each seed is 0.1 above the one before."""
    value = float(trial.setting["value"]) + trial.seed / 10
    return Outcome("done", [(step, {"loss": value, "other": 0.0}) for step in STEPS])


def states(agenda):
    return [trial.state.name for trial in agenda.study.trials]


PRUNERS = {
    "median": (MEDIAN, 10),
    "percentile": (partial(PercentilePruner, percentile=25.0, n_startup_trials=3), 10),
    "warm": (partial(MedianPruner, n_startup_trials=3, n_warmup_steps=15), 20),
    "hyperband": (partial(HyperbandPruner, min_resource=10, max_resource=30, reduction_factor=3), 10),
}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("name", PRUNERS)
def test_a_planted_bad_setting_is_pruned_at_the_first_allowed_report(name, seeds):
    pruner, step = PRUNERS[name]
    agenda = search([1, 2, 3, 4, 5, 40], pruner, seeds)
    done = Driver(planted, slots=len(seeds)).run(agenda)
    bad = [done.records[trial.key] for trial in agenda.settings[-1].trials]
    assert {outcome.status for outcome in bad} == {"pruned"}
    assert max(outcome.rows[-1][0] for outcome in bad) <= step + 10
    assert min(outcome.rows[-1][0] for outcome in bad) == step
    assert agenda.study.trials[-1].state is TrialState.PRUNED
    assert agenda.study.trials[-1].intermediate_values[step] == pytest.approx(40 + sum(seeds) / 10 / len(seeds))
    assert states(agenda)[0] == "COMPLETE"


def test_a_setting_waits_for_its_slower_seed():
    agenda = search([1, 2, 3, 40], seeds=(0, 1))
    Driver(planted, slots=2).run(first := search([1, 2, 3], seeds=(0, 1)))
    assert states(first) == ["COMPLETE"] * 3
    for _ in range(3):
        pair = [agenda.next(), agenda.next()]
        for trial in pair:
            agenda.ended(trial, planted(trial))
    one, two = agenda.next(), agenda.next()
    assert not agenda.reported(one, 10, {"loss": 40.0})
    assert not agenda.reported(one, 20, {"loss": 40.0})
    assert agenda.reported(two, 10, {"loss": 50.0})
    assert agenda.study.trials[-1].intermediate_values == {10: 45.0}
    assert agenda.reported(one, 30, {"loss": 40.0})


def test_seeds_that_have_not_started_are_dropped():
    agenda = search([1, 2, 3, 40], seeds=(0, 1, 2))
    done = Driver(planted).run(agenda)
    assert len(done.ran) == 3 * 3 + 1 == agenda.expected
    assert states(agenda)[-1] == "PRUNED"


def test_no_seed_starts_while_the_others_are_asked_to_stop():
    agenda = search([1, 2, 3, 40, 4], seeds=(0, 1))
    for _ in range(6):
        trial = agenda.next()
        agenda.ended(trial, planted(trial))
    bad = agenda.next()
    assert agenda.reported(bad, 10, {"loss": 40.0})
    assert agenda.next().setting == {"value": "4"}


def test_a_setting_that_finished_before_it_could_stop_is_not_pruned():
    agenda = search([1, 2, 3, 40], seeds=(0, 1))
    for _ in range(6):
        trial = agenda.next()
        agenda.ended(trial, planted(trial))
    bad = agenda.next()
    assert agenda.reported(bad, 30, {"loss": 40.0})
    agenda.ended(bad, planted(bad))
    last = agenda.next()
    assert (last.setting, last.seed) == (bad.setting, 1)
    agenda.ended(last, planted(last))
    assert states(agenda) == ["COMPLETE"] * 4


def test_other_values_are_not_reported():
    agenda = search([1])
    trial = agenda.next()
    assert not agenda.reported(trial, 10, {"other": 1.0})
    assert agenda.study.trials[0].intermediate_values == {}


def test_the_best_is_not_pruned_where_more_is_better():
    agenda = search([1, 2, 3, 40, 0], directions=("maximize",))
    Driver(planted).run(agenda)
    assert states(agenda) == ["COMPLETE"] * 4 + ["PRUNED"]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("pruner", [MEDIAN, PRUNERS["hyperband"][0]], ids=["median", "hyperband"])
def test_told_again_from_the_records_the_study_is_the_same(pruner, seeds):
    values = [3, 9, 1, 4, 30, 2, 40, 5]
    whole = search(values, pruner, seeds)
    done = Driver(planted).run(whole)
    again = search(values, pruner, seeds)
    rest = Driver(planted, records=done.records).run(again)
    assert rest.ran == []
    assert [t.intermediate_values for t in again.study.trials] == [t.intermediate_values for t in whole.study.trials]
    assert states(again) == states(whole)
    assert "PRUNED" in states(whole)


def test_a_twin_of_a_pruned_setting_is_pruned():
    agenda = search([1, 2, 3, 40, 40])
    done = Driver(planted).run(agenda)
    assert states(agenda)[3:] == ["PRUNED", "PRUNED"]
    assert agenda.study.trials[4].value == agenda.study.trials[3].value == 40.0
    assert len(done.ran) == 4


def test_several_objectives_cannot_be_pruned():
    with pytest.raises(UserError, match="pruner=none"):
        search([1], metrics=("loss", "other"), directions=("minimize", "minimize"))


def test_several_objectives_are_too_much_for_cmaes():
    with pytest.raises(UserError, match="sampler=tpe"):
        method(SAMPLERS["cmaes"], metrics=("loss", "other"), directions=("minimize", "minimize"), aggregate=fmean)
