"""What a sweep goes by: which values there are, and which way each is better unless the command says it."""

import pytest

from duogen.complete import complete
from duogen.errors import UserError
from duogen.experiment.resolve import resolve
from duogen.sweep.search.goals import Goals, goals, validated

KNOWN = {"modes_found": "maximize", "gap": "minimize", "logits": None}
RING = {
    "modes_found": "maximize",
    "high_quality": "maximize",
    "mode_entropy_gap": "minimize",
    "logits_held_out": None,
    "logits_generated": None,
}


def config(*overrides):
    return resolve(complete([*overrides, "generator=mlp", "discriminator=mlp"], None, ()).config, "x", ())


def test_metrics_say_which_way_is_better_and_observations_do_not():
    assert validated([config("data=ring")], ()) == RING


def test_the_values_of_all_runs_count():
    assert (
        validated([config("data=digits", "extractor=lenet"), config("data=ring")], ())
        == {"frechet_lenet": "minimize"} | RING
    )


def test_a_file_that_is_elsewhere_tells_nothing():
    assert validated([config("data=digits") | {"metrics": {"a": {"_target_": "duogen.metrics.absent.A"}}}], ()) == {}


@pytest.mark.parametrize(
    ("metric", "direction", "known", "expected"),
    [
        (None, None, KNOWN, Goals([], [])),
        ("modes_found", None, KNOWN, Goals(["modes_found"], ["maximize"])),
        ("gap", None, KNOWN, Goals(["gap"], ["minimize"])),
        (["gap", "modes_found"], None, KNOWN, Goals(["gap", "modes_found"], ["minimize", "maximize"])),
        ("modes_found", "minimize", KNOWN, Goals(["modes_found"], ["minimize"])),
        ("logits", "maximize", KNOWN, Goals(["logits"], ["maximize"])),
        ("whatever", "maximize", {}, Goals(["whatever"], ["maximize"])),
        (["gap"], ["maximize"], KNOWN, Goals(["gap"], ["maximize"])),
    ],
)
def test_what_is_said_wins_and_the_metric_says_the_rest(metric, direction, known, expected):
    assert goals(metric, direction, known) == expected


@pytest.mark.parametrize(
    ("metric", "direction", "known", "told"),
    [
        ("modes_fond", None, KNOWN, "say hydra.sweeper.metric=modes_found"),
        ("logits", None, KNOWN, "add hydra.sweeper.direction=minimize"),
        ("whatever", None, {}, "add hydra.sweeper.direction=minimize"),
        ("gap", "maximise", KNOWN, "say maximize"),
        (["gap", "modes_found"], "minimize", KNOWN, "gap, modes_found with direction minimize"),
        ("gap", ["minimize", "maximize"], KNOWN, "one direction for each metric"),
    ],
)
def test_refuses(metric, direction, known, told):
    with pytest.raises(UserError, match=told):
        goals(metric, direction, known)


def test_a_search_needs_one():
    with pytest.raises(UserError, match=r"add hydra\.sweeper\.metric=modes_found"):
        goals(None, None, KNOWN, needed=True)
