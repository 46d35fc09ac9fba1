"""From a composed config to one with its open ends closed: budgets, devices, and the numbers of a run."""

from copy import deepcopy
from itertools import product

import pytest
import torch

from contracts.cases import MLP, SMALL, composed_config
from duogen.errors import UserError
from duogen.experiment.resolve import device, resolve, run_name, steps_for
from duogen.modules.turns import Alternate, Turn

RING = (*SMALL, *MLP)
PER_EPOCH = 1000 // 16


def resolved(*overrides):
    return resolve(deepcopy(composed_config((*RING, *overrides))), "gan-ring", ())


def steps(*overrides):
    return resolved(*overrides)["trainer"]["max_steps"]


def played(turn, steps):
    """A turn's optimizer steps by stepping through its definition."""
    due = [
        step
        for step in range(200)
        if turn.start <= step
        and (turn.until is None or step < turn.until)
        and (step - turn.start + 1) % turn.every == 0
    ]
    updates = open_acts = 0
    for step in range(steps):
        if step in due:
            open_acts += 1
            last = turn.until is not None and step == due[-1]
            if open_acts == turn.accumulate or last:
                updates, open_acts = updates + 1, 0
    return updates


def smallest(turns, player, updates):
    """The first number of steps that gives a player its updates, by trying every number."""
    return next(n for n in range(1, 200) if sum(played(turn, n) for turn in turns if turn.player == player) >= updates)


SCHEDULES = [
    [Turn("a", every=every, accumulate=accumulate, start=start, until=until)]
    for every, accumulate, start, until in product([1, 2, 5], [1, 3], [0, 4], [None, 29])
] + [[Turn("a", until=7, accumulate=3), Turn("b"), Turn("a", start=9, every=2)]]


@pytest.mark.parametrize("turns", SCHEDULES, ids=str)
def test_updates_become_the_smallest_number_of_steps(turns):
    built = Alternate(**{f"turn{index}": turn for index, turn in enumerate(turns)})
    possible = sum(played(turn, 199) for turn in turns if turn.player == "a")
    for updates in range(1, min(possible, 9) + 1):
        assert steps_for(built, "a", updates) == smallest(turns, "a", updates)


def test_updates_that_the_turns_never_give_are_refused_with_their_number():
    turns = Alternate(one=Turn("a", until=29, every=2), two=Turn("b"))
    assert steps_for(turns, "a", 14) == 28
    with pytest.raises(UserError, match=r"budget\.updates\.a=15") as caught:
        steps_for(turns, "a", 15)
    assert caught.value.allowed.startswith("at most 14,")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("budget.steps=9",), 9),
        (("trainer.max_steps=9",), 9),
        (("budget=smoke",), 20),
        (("budget.epochs=2", "budget.steps=null"), 2 * PER_EPOCH),
        (("budget.samples=160", "budget.steps=null"), 10),
        (("budget.samples=161", "budget.steps=null"), 11),
        (("budget.samples=1", "budget.steps=null"), 1),
        (("budget.updates.generator=4", "budget.steps=null"), 4),
        (("budget.updates.generator=4", "turns=five_to_one", "budget.steps=null"), 20),
        (("budget.updates.generator=4", "budget.updates.discriminator=19", "turns=five_to_one"), 19),
        (("budget.steps=9", "budget.samples=128", "budget.epochs=1", "budget.updates.generator=10"), 8),
        (("budget.steps=9", "budget.samples=160", "budget.epochs=1", "budget.updates.generator=7"), 7),
        (("budget.steps=90", "budget.samples=16000", "budget.epochs=1", "budget.updates.generator=77"), PER_EPOCH),
        (("budget.steps=5", "budget.samples=160", "budget.epochs=1", "budget.updates.generator=7"), 5),
        (("trainer.max_steps=6", "budget.steps=5", "budget.samples=160"), 6),
    ],
    ids=str,
)
def test_the_first_limit_of_the_budget_ends_the_run(overrides, expected):
    assert steps(*overrides) == expected


@pytest.mark.parametrize("limit", ["steps", "samples", "epochs", "updates.generator"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "x", True])
def test_a_limit_is_a_whole_number(limit, value):
    config = deepcopy(composed_config(RING))
    group, _, name = limit.rpartition(".")
    (config["budget"][group] if group else config["budget"])[name] = value
    with pytest.raises(UserError, match=f"budget.{limit}={str(value).lower()}"):
        resolve(config, "gan-ring", ())


def test_a_budget_has_a_limit():
    with pytest.raises(UserError, match="no limit"):
        steps("budget.steps=null")


@pytest.mark.parametrize(
    ("overrides", "gap"),
    [
        (("turns.generator.every=2", "turns.discriminator.every=3"), "step 0 of 9"),
        (("turns.generator.start=4", "turns.discriminator.until=3"), "step 3 of 9"),
        (("turns.generator.until=8", "turns.discriminator.until=8"), "step 8 of 9"),
    ],
)
def test_a_batch_that_nobody_plays_is_refused(overrides, gap):
    with pytest.raises(UserError, match=gap):
        steps("budget.steps=9", *overrides)


def test_a_gap_after_the_end_is_none():
    assert steps("budget.steps=8", "turns.generator.until=8", "turns.discriminator.until=8") == 8


NODE = {"accelerator": "auto", "devices": 1, "precision": 32, "max_steps": 5}


@pytest.mark.parametrize(
    ("gpus", "given", "expected"),
    [
        (0, {}, ("cpu", 1, "32")),
        (2, {}, ("cuda", 1, "32")),
        (2, {"accelerator": "cpu", "devices": 3}, ("cpu", 3, "32")),
        (2, {"accelerator": "gpu", "devices": "auto", "precision": "bf16-mixed"}, ("cuda", 2, "bf16-mixed")),
        (2, {"accelerator": "cuda", "devices": 2, "precision": "16-mixed"}, ("cuda", 2, "16-mixed")),
        (0, {"devices": "auto"}, ("cpu", 1, "32")),
    ],
)
def test_the_device_is_resolved(gpus, given, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    node = device(NODE | given)
    assert (node["accelerator"], node["devices"], node["precision"]) == expected
    assert node["max_steps"] == 5


@pytest.mark.parametrize(
    ("gpus", "given"),
    [
        (0, {"accelerator": "gpu"}),
        (2, {"accelerator": "gpu", "devices": 3}),
        (0, {"accelerator": "tpu"}),
        (0, {"devices": 0}),
        (0, {"devices": -1}),
        (0, {"devices": 1.5}),
        (0, {"devices": True}),
        (0, {"devices": "two"}),
        (0, {"precision": 64}),
        (0, {"precision": "16"}),
    ],
)
def test_a_device_that_is_not_there_is_refused(gpus, given, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(
        UserError, match="|".join(f"trainer.{name}={str(value).lower()}" for name, value in given.items())
    ):
        device(NODE | given)


def test_the_name_is_the_given_one_or_that_of_the_parts():
    assert run_name(None, "gan-ring") == "gan-ring"
    assert run_name(3, "gan-ring") == "3"
    for name in ("", "..", "a/b", "/etc", "a/"):
        with pytest.raises(UserError):
            run_name(name, "gan-ring")


def test_a_config_without_metrics_has_none():
    assert resolved("metrics=[]")["metrics"] == {}


def test_the_datas_own_facts_enter_the_config(monkeypatch):
    monkeypatch.setattr("duogen.data.mixtures.GaussianMixture.facts", lambda self: {"classes": 9, "sha256": "abc"})
    data = resolved()["data"]
    assert (data["classes"], data["sha256"], data["batch_size"]) == (9, "abc", 16)


def test_nothing_is_changed_in_the_config_given():
    composed = composed_config(RING)
    before = deepcopy(composed)
    resolve(composed, "gan-ring", ())
    assert composed == before


@pytest.mark.parametrize("backend", [True, False, "eager", "inductor"])
def test_known_backends_pass(backend):
    assert resolve(deepcopy(composed_config(RING)) | {"compile": backend}, "gan-ring", ())["compile"] == backend


@pytest.mark.parametrize("name", ["timeout", "grace"])
@pytest.mark.parametrize("value", [0, -1, 0.0, True, "x", float("nan")])
def test_a_time_is_a_number_of_seconds(name, value):
    config = deepcopy(composed_config(RING))
    config["trial"][name] = value
    with pytest.raises(UserError, match=rf"trial\.{name}=\S+\n  allowed: seconds"):
        resolve(config, "gan-ring", ())


def test_a_run_may_take_its_time_but_not_to_end():
    assert resolved("trial.timeout=null")["trial"]["timeout"] is None
    assert resolved("trial.timeout=0.5", "trial.grace=2")["trial"] == {"timeout": 0.5, "grace": 2, "attempts": 3}
    with pytest.raises(UserError, match=r"trial\.grace=null"):
        resolved("trial.grace=null")


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "x"])
def test_a_trial_is_attempted_once_at_least(value):
    config = deepcopy(composed_config(RING))
    config["trial"]["attempts"] = value
    with pytest.raises(UserError, match=r"trial\.attempts="):
        resolve(config, "gan-ring", ())
