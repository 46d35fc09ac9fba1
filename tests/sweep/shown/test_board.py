from math import inf, nan
from pathlib import Path

import pytest

from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Trial
from duogen.sweep.shown.board import Board


def trial(key, steps=1000):
    plan = Plan({"trainer": {"max_steps": steps, "devices": 1}}, Path(key))
    return Trial(plan, Path(f"{key}.json"), {"generator.width": key}, 0)


def board(slots=2, expected=10, metric=None, higher=False):
    return Board(slots, expected, metric, higher)


def validated(**values):
    return {"step": 1, "train/generator/adversarial": 3.0, **{f"validate/gan/{n}": v for n, v in values.items()}}


def test_trials_are_counted_by_where_they_are():
    found = board()
    for key in "abcd":
        found.start(trial(key), ["0"], 0.0)
    found.end(trial("a"), "done", 5.0)
    found.end(trial("b"), "nan", 1.0)
    found.skip(trial("e"), "done", {})
    assert found.counts == {"done": 2, "nan": 1, "running": 2, "waiting": 5}
    assert found.earlier == {"e"}


def test_a_trial_that_starts_again_has_not_ended():
    found = board()
    found.start(trial("a"), ["0"], 0.0)
    found.end(trial("a"), "oom", 5.0)
    found.start(trial("a"), ["0"], 6.0)
    assert found.counts == {"running": 1, "waiting": 9}
    found.end(trial("a"), "done", 9.0)
    assert found.counts == {"done": 1, "running": 0, "waiting": 9}


def test_the_speed_is_counted_from_the_first_row():
    found = board()
    found.start(trial("a"), ["0"], 100.0)
    found.hear(trial("a"), 50, {}, 130.0)
    assert found.running["a"].speed is None
    found.hear(trial("a"), 250, validated(frechet=2.0), 150.0)
    found.hear(trial("a"), 300, {"train/generator/adversarial": 1.0}, 155.0)
    one = found.running["a"]
    assert (one.step, one.total, one.speed, one.values) == (300, 1000, 10.0, {"frechet": 2.0})
    assert found.metric == "frechet"


@pytest.mark.parametrize(("higher", "expected"), [(True, (7.0, "width=c,seed=0")), (False, (2.0, "width=a,seed=0"))])
def test_the_best_is_of_what_is_done_and_a_number(higher, expected):
    found = board(metric="frechet", higher=higher)
    for key, value, status in [
        ("n", nan, "done"), ("a", 2.0, "done"), ("i", inf, "done"), ("m", -inf, "done"), ("b", 99.0, "pruned"),
        ("z", -99.0, "nan"), ("c", 7.0, "done"), ("d", 7.0, "done"),
    ]:  # fmt: skip
        found.start(trial(key), ["0"], 0.0)
        found.hear(trial(key), 500, validated(other=-1000.0, frechet=8.0), 1.0)
        found.hear(trial(key), 1000, validated(frechet=value), 2.0)
        judged = found.end(trial(key), status, 1.0)
        assert judged == value or judged != judged
    assert found.best == expected


def test_what_was_done_earlier_counts_for_the_best_where_its_values_are_told():
    found = board(metric="frechet")
    found.skip(trial("a"), "done", {"frechet": 3.0})
    found.skip(trial("b"), "failed", {"frechet": 1.0})
    found.skip(trial("c"), "done", {})
    assert found.best == (3.0, "width=a,seed=0")


def test_nothing_is_left_to_tell_before_there_is_something_to_count():
    found = board()
    assert found.left() is None
    found.start(trial("a"), ["0"], 0.0)
    found.hear(trial("a"), 100, {}, 10.0)
    assert found.left() is None
    found.hear(trial("a"), 200, {}, 20.0)
    assert found.left() == pytest.approx((800 + 9 * 1000) * 0.1 / 2)


def test_the_time_left_is_the_work_over_the_slots():
    found = board(slots=3, expected=6)
    found.start(trial("a"), ["0"], 0.0)
    found.end(trial("a"), "done", 50.0)  # 0.05 s per step
    found.start(trial("b", 2000), ["0"], 50.0)
    found.start(trial("c", 600), ["1", "2"], 50.0)
    found.hear(trial("b", 2000), 500, {}, 60.0)
    found.hear(trial("b", 2000), 1500, {}, 160.0)  # 0.1 s per step of its own: 50 s
    found.hear(trial("c", 600), 100, {}, 160.0)  # 500 steps: 25 s on two slots
    waiting = 3 * 0.05 * (1000 + 2000 + 600) / 3
    assert found.left() == pytest.approx((50 + 2 * 25 + waiting) / 3)


def test_the_last_trial_is_not_shared_out():
    found = board(slots=8, expected=2)
    found.start(trial("a"), ["0"], 0.0)
    found.end(trial("a"), "done", 40.0)
    found.start(trial("b"), ["0"], 40.0)
    assert found.left() == pytest.approx(40.0)
    found.end(trial("b"), "done", 40.0)
    assert found.left() == 0.0


def test_without_an_expected_number_nothing_waits_and_no_time_is_told():
    found = board(expected=None)
    found.start(trial("a"), ["0"], 0.0)
    found.end(trial("a"), "done", 40.0)
    assert (found.waiting, found.left(), found.counts["waiting"]) == (None, None, 0)
    assert found.share == 1.0


def test_the_share_counts_parts_of_trials():
    found = board()
    found.start(trial("a"), ["0"], 0.0)
    found.start(trial("b", 400), ["0"], 0.0)
    found.hear(trial("a"), 250, {}, 1.0)
    found.hear(trial("b", 400), 500, {}, 1.0)
    found.skip(trial("c"), "nan", {})
    assert found.share == 2.25


def test_where_the_slots_are_not_known_those_that_run_count():
    found = board(slots=0, expected=4)
    for key in "ab":
        found.start(trial(key), ["queue"], 0.0)
    found.end(trial("a"), "done", 40.0)
    found.start(trial("c"), ["queue"], 0.0)
    assert found.left() == pytest.approx((2 * 40 + 40) / 2)
    found.end(trial("b"), "done", 40.0)
    found.end(trial("c"), "done", 40.0)
    assert found.left() == pytest.approx(40.0)
