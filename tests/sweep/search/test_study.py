"""Searches: what is drawn, what the study is told, and that an interrupted one goes on as if it had not been."""

import warnings

import numpy
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

from duogen.errors import UserError
from duogen.sweep.agenda import Outcome
from duogen.sweep.search.method import Quantile
from duogen.sweep.search.study import Search
from sweep.studies import SAMPLERS, Driver, curve, expand, method

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "beta": FloatDistribution(0.0, 1.0),
    "width": IntDistribution(1, 8),
    "penalty": CategoricalDistribution(["[r1]", "[r1,r2]", "[]"]),
}
SMALL = {"penalty": CategoricalDistribution(["[r1]", "[r2]"])}


def bowl(trial):
    """Lowest at lr = 1e-2, beta = 0.25; the seed moves it up."""
    setting = trial.setting
    value = (numpy.log10(float(setting["lr"])) + 2) ** 2 + (float(setting["beta"]) - 0.25) ** 2
    return curve(float(value) + len(setting["penalty"]) / 10 + trial.seed / 100)


def search(space=SPACE, how=None, n_trials=8, seeds=(0,), each=expand, recorded=(), note=lambda params: None):
    return Search(space, how or method(), n_trials, seeds, each, recorded, note, "search")


@pytest.fixture(autouse=True)
def quiet(capfd):
    """Neither a warning nor a line on the console, whatever the sampler."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


@pytest.mark.parametrize("name", SAMPLERS)
def test_proposes_the_same_twice(name):
    first, second = ([], [])
    for notes in (first, second):
        Driver(bowl).run(search(how=method(SAMPLERS[name]), n_trials=6, note=notes.append))
    assert first == second
    assert len({tuple(params.items()) for params in first}) == 6


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_proposes_others(name):
    first, second = ([], [])
    for seed, notes in ((0, first), (1, second)):
        Driver(bowl).run(search(how=method(SAMPLERS[name], seed=seed), n_trials=4, note=notes.append))
    assert all(a != b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("pruner", [method().pruner, lambda: MedianPruner(n_startup_trials=2)], ids=["none", "median"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_interrupted_at_any_trial_goes_on_as_if_it_had_not_been(name, pruner):
    total, seeds, how = 6, (0, 1), method(SAMPLERS[name], pruner)
    notes = []
    whole = search(how=how, n_trials=total, seeds=seeds, note=notes.append)
    done = Driver(bowl).run(whole)
    stops = range(len(done.ran)) if name != "gp" else (7,)
    for k in stops:
        recorded = []
        records = Driver(bowl).run(search(how=how, n_trials=total, seeds=seeds, note=recorded.append), k).records
        assert len(records) == k
        again = search(how=how, n_trials=total, seeds=seeds, recorded=list(recorded), note=recorded.append)
        rest = Driver(bowl, records=records).run(again)
        assert recorded == notes
        assert [trial.key for trial in rest.ran] == [trial.key for trial in done.ran[k:]]
        assert records == done.records
        assert again.best() == whole.best()


@pytest.mark.parametrize("slots", [2, 5])
def test_continued_on_several_slots_it_has_exactly_n_settings(slots):
    recorded, records = [], {}
    for stop in (3, 7, None):
        agenda = search(n_trials=9, seeds=(0, 1), recorded=list(recorded), note=recorded.append)
        Driver(bowl, slots, records).run(agenda, stop)
    assert len(recorded) == 9
    assert len(records) == 18
    assert len(agenda.study.trials) == 9


def test_the_study_sees_the_mean_over_seeds():
    agenda = search(n_trials=3, seeds=(0, 4))
    done = Driver(bowl).run(agenda)
    for asked, setting in zip(agenda.study.trials, agenda.settings, strict=True):
        values = [done.records[trial.key].last("loss") for trial in setting.trials]
        assert asked.value == pytest.approx(sum(values) / 2)
        assert "seed" not in asked.params


@pytest.mark.parametrize(("q", "expected"), [(0.5, 2.0), (0.0, 1.0), (1.0, 6.0), (0.75, 4.0)])
def test_quantile_over_seeds(q, expected):
    values = {0: 1.0, 1: 6.0, 2: 2.0}
    agenda = search(how=method(aggregate=Quantile(q)), n_trials=1, seeds=(0, 1, 2))
    Driver(lambda trial: curve(values[trial.seed])).run(agenda)
    assert agenda.study.trials[0].value == expected


def test_seeds_of_a_setting_come_together_and_open_ones_are_limited():
    agenda = search(how=method(n_jobs=2), n_trials=5, seeds=(0, 1, 2))
    trials = [agenda.next() for _ in range(6)]
    assert agenda.next() is None
    assert [trial.seed for trial in trials] == [0, 1, 2, 0, 1, 2]
    assert len({str(trial.setting) for trial in trials[:3]}) == 1
    assert agenda.expected == 15
    for trial in trials[:2]:
        agenda.ended(trial, curve(1.0))
    assert agenda.next() is None
    agenda.ended(trials[2], curve(1.0))
    assert agenda.next().seed == 0


@pytest.mark.parametrize("status", ["nan", "failed", "oom", "timeout"])
def test_a_setting_with_a_failed_seed_fails_and_its_other_seeds_are_dropped(status):
    agenda = search(n_trials=2, seeds=(0, 1, 2))
    first = agenda.next()
    second = agenda.next()
    agenda.ended(first, curve(1.0))
    agenda.ended(second, Outcome(status, [(10, {"loss": 0.1})]))
    assert agenda.study.trials[0].state is TrialState.FAIL
    assert agenda.next().setting != first.setting
    assert agenda.expected == 2 + 3


def test_a_value_that_is_not_finite_fails():
    agenda = search(n_trials=1)
    Driver(lambda trial: curve(float("nan"))).run(agenda)
    assert agenda.study.trials[0].state is TrialState.FAIL


@pytest.mark.parametrize("slots", [1, 4])
def test_what_is_drawn_twice_runs_once_and_counts(slots):
    notes = []
    agenda = search(SMALL, n_trials=9, seeds=(0, 1), note=notes.append)
    done = Driver(lambda trial: curve(float(len(trial.setting["penalty"]) + trial.seed)), slots).run(agenda)
    assert len(notes) == len(agenda.study.trials) == 9
    assert len(done.ran) == len({trial.key for trial in done.ran}) == 4 == agenda.expected
    assert {trial.state for trial in agenda.study.trials} == {TrialState.COMPLETE}
    assert {trial.value for trial in agenda.study.trials} == {4.5}
    assert len(agenda.best()) == 1


def test_what_is_drawn_twice_fails_twice():
    agenda = search(SMALL, n_trials=6)
    Driver(lambda trial: Outcome("nan")).run(agenda)
    assert [trial.state for trial in agenda.study.trials] == [TrialState.FAIL] * 6


def test_a_refused_setting_counts_as_failed_and_keeps_its_sentence():
    def picky(params, phase, seeds):
        if params["penalty"] == "[r2]":
            raise UserError("penalty=[r2] beside batch norm", "[r1]", "leave it out")
        return expand(params, phase, seeds)

    agenda = search(SMALL, n_trials=8, each=picky)
    Driver(lambda trial: curve(1.0)).run(agenda)
    states = [trial.state for trial in agenda.study.trials]
    assert states.count(TrialState.FAIL) == len(agenda.refused) > 0
    assert states.count(TrialState.COMPLETE) + len(agenda.refused) == 8
    assert agenda.refused[0][0] == {"penalty": "[r2]"}
    assert agenda.best() == [({"penalty": "[r1]"}, (1.0,))]


def test_nothing_finished_is_said():
    def never(params, phase, seeds):
        raise UserError("a pair that makes no sense", "another", "choose another")

    agenda = search(n_trials=2, each=never)
    assert agenda.next() is None
    with pytest.raises(UserError, match=r"none of 2 settings has finished; 2 were refused.*no sense"):
        agenda.best()


def test_a_metric_that_is_not_validated_is_refused_with_those_that_are():
    agenda = search(how=method(metrics=("frechet_pixel",)), n_trials=1)
    trial = agenda.next()
    with pytest.raises(UserError) as error:
        agenda.ended(trial, Outcome("done", [(10, {"loss": 1.0, "frechet_pixels": 2.0})]))
    assert error.value.allowed == "frechet_pixels, loss"


def test_the_last_validated_value_decides():
    agenda = search(n_trials=1)
    Driver(lambda trial: Outcome("done", [(10, {"loss": 1.0}), (20, {"loss": 3.0}), (30, {"other": 0.0})])).run(agenda)
    assert agenda.best()[0][1] == (3.0,)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_best_is_by_direction(direction):
    agenda = search(how=method(directions=(direction,)), n_trials=7)
    done = Driver(bowl).run(agenda)
    values = [outcome.last("loss") for outcome in done.records.values()]
    assert agenda.best()[0][1] == ({"minimize": min, "maximize": max}[direction](values),)


@pytest.mark.parametrize("name", ["random", "tpe", "qmc"])
def test_two_objectives_give_a_front(name):
    def both(trial):
        beta = float(trial.setting["beta"])
        return Outcome("done", [(10, {"loss": beta, "quality": beta})])

    def worse(trial):
        outcome = both(trial)
        if int(trial.setting["width"]) > 4:
            return Outcome("done", [(10, {"loss": 5.0, "quality": -5.0})])
        return outcome

    how = method(SAMPLERS[name], metrics=("loss", "quality"), directions=("minimize", "maximize"))
    agenda = search(how=how, n_trials=8)
    Driver(worse).run(agenda)
    expected = {trial.number for trial in agenda.study.trials if trial.params["width"] <= 4}
    assert 0 < len(expected) < 8
    assert {values for _, values in agenda.best()} == {tuple(agenda.study.trials[n].values) for n in expected}
    settings = [str(params) for params, _ in agenda.best()]
    assert len(settings) == len(set(settings))


@pytest.mark.parametrize(
    ("given", "says"),
    [({"n_trials": 0}, "n_trials=0"), ({"seeds": ()}, "0 seeds"), ({"space": {}}, "0 keys")],
)
def test_an_empty_search_is_refused(given, says):
    with pytest.raises(UserError, match=says):
        search(**given)


def test_recorded_settings_of_another_space_are_refused():
    with pytest.raises(UserError, match="recorded"):
        search(recorded=[{"lr": "0.1"}])


@pytest.mark.parametrize("axes", [1, 2])
def test_cmaes_draws_numbers_beside_choices(axes):
    space = dict(list(SPACE.items())[:axes]) | SMALL
    agenda = search(space, method(SAMPLERS["cmaes"]), 9)
    Driver(lambda trial: curve(float(trial.setting["lr"]))).run(agenda)
    assert agenda.finished == 9
