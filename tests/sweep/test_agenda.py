"""What a list of trials wants next, and what a trial says of itself."""

from pathlib import Path

import pytest

from duogen.experiment.trial import Plan
from duogen.sweep.agenda import ENDED, GOOD, Listed, Outcome, Trial


def trial(key, seed=0, devices=1, **setting):
    plan = Plan({"trainer": {"devices": devices}}, Path("sweep") / key)
    return Trial(plan, Path("sweep/trials") / f"{key}.json", setting, seed)


def test_a_list_gives_its_trials_once_and_in_order():
    trials = [trial("a"), trial("b"), trial("c")]
    agenda = Listed(iter(trials))
    assert agenda.expected == 3
    assert [agenda.next() for _ in range(3)] == trials
    agenda.ended(trials[0], Outcome("failed"))
    assert agenda.next() is None
    assert agenda.expected == 3


def test_a_list_prunes_nothing():
    agenda = Listed([trial("a")])
    assert agenda.reported(trial("a"), 10, {"loss": float("inf")}) is False


def test_an_outcome_has_the_last_value_of_each_metric():
    outcome = Outcome("done", [(10, {"loss": 3.0, "modes": 2.0}), (20, {"loss": 1.0})])
    assert (outcome.last("loss"), outcome.last("modes"), outcome.last("other")) == (1.0, 2.0, None)
    assert Outcome("failed").last("loss") is None


def test_a_trial_is_known_by_its_folder_and_needs_a_slot_for_each_rank():
    assert (trial("0a1b", devices=3).key, trial("0a1b", devices=3).slots) == ("0a1b", 3)


@pytest.mark.parametrize(
    ("setting", "label"),
    [
        ({}, "seed=5"),
        ({"generator": "mlp"}, "generator=mlp,seed=5"),
        ({"optimizer.lr": "1e-3", "generator": "mlp"}, "lr=1e-3,generator=mlp,seed=5"),
    ],
)
def test_a_label_names_each_key_by_its_last_part(setting, label):
    assert trial("a", 5, **setting).label == label


def test_every_good_end_is_an_end():
    assert set(GOOD) < set(ENDED)


def test_keys_that_end_alike_are_told_apart_in_a_label():
    one = trial("a", **{"optimizers.generator.lr": "1", "optimizers.discriminator.lr": "2", "x.y": "3"})
    assert one.label == "generator.lr=1,discriminator.lr=2,y=3,seed=0"
