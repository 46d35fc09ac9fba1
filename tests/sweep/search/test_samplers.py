"""Samplers by trial: each seeded by its number, a quasi-random sequence by the study."""

from functools import partial

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import QMCSampler, RandomSampler

from duogen.sweep.search.samplers import ask_again, sampler

SPACE = {"a": FloatDistribution(0.0, 1.0), "b": IntDistribution(2, 8, step=3), "c": CategoricalDistribution(["x", "y"])}


def drawn(build, seed, numbers):
    """What a study draws whose trials have these numbers, each told 0."""
    study = optuna.create_study()
    values = []
    for number in numbers:
        study.sampler = sampler(build, seed, number)
        trial = study.ask(SPACE)
        values.append(trial.params["a"])
        study.tell(trial, 0.0)
    return values


def test_a_draw_is_a_function_of_seed_and_number():
    first, second, third = drawn(partial(RandomSampler, seed=9), 5, [0, 1, 2])
    assert len({first, second, third}) == 3
    assert drawn(RandomSampler, 5, [2, 0]) == [third, first]
    assert drawn(RandomSampler, 6, [0]) != [first]


def test_a_quasi_random_sequence_is_one_sequence():
    build = partial(QMCSampler, qmc_type="halton", scramble=True, warn_independent_sampling=False)
    points = drawn(build, 5, range(9))[1:]
    assert sorted(int(point * 8) for point in points) == list(range(8))  # base 2: one point in each eighth


@pytest.mark.parametrize("build", [RandomSampler, partial(QMCSampler, scramble=True)], ids=["random", "qmc"])
def test_known_values_are_taken_and_the_sampler_goes_on_as_if_it_had_drawn_them(build):
    told = {"a": 0.125, "b": 5, "c": "y"}
    nexts = []
    for known in (True, False):
        study = optuna.create_study(sampler=sampler(build, 5, 0))
        if known:
            study.enqueue_trial(told)
        for number in range(3):
            study.sampler = sampler(build, 5, number)
            trial = ask_again(study, SPACE) if known and number == 0 else study.ask(SPACE)
            if known and number == 0:
                assert trial.params == told
            study.tell(trial, 0.0)
        nexts.append([trial.params for trial in study.trials[1:]])
    assert nexts[0] == nexts[1]
