"""What follows from the length of a run follows whichever limit of its budget ends it."""

import pytest

from contracts.cases import MLP, SMALL
from duogen import complete as subject
from duogen.complete import complete
from duogen.compose import Composed, compose
from duogen.errors import UserError

RING = (*SMALL, *MLP)
PER_EPOCH = 1000 // 16


def completed(*overrides):
    return complete([*RING, *overrides], None, ())


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (("budget.steps=9",), 9),
        (("budget.samples=160",), 10),
        (("budget.samples=160", "budget.steps=null"), 10),
        (("budget.epochs=2", "budget.steps=null"), 2 * PER_EPOCH),
        (("budget.updates.generator=4", "turns=five_to_one", "budget.steps=null"), 20),
        (("budget.samples=160", "trainer.max_steps=6"), 6),
    ],
    ids=str,
)
def test_a_schedule_ends_with_the_run(overrides, steps):
    config = completed(*overrides, "scheduler=linear").config
    assert config["trainer"]["max_steps"] == steps
    for player in ("generator", "discriminator"):
        assert config["optimizers"][player]["scheduler"]["total_iters"] == steps


def test_the_overrides_say_how_long(monkeypatch):
    assert completed("budget.samples=160").overrides == (*RING, "budget.samples=160", "trainer.max_steps=10")
    assert completed("budget.steps=9").overrides == (*RING, "budget.steps=9")


def test_a_plain_budget_is_composed_once(monkeypatch):
    composed = []
    monkeypatch.setattr(subject, "compose", lambda *given: composed.append(given) or compose(*given))
    completed("budget.steps=9")
    assert len(composed) == 1


def test_a_pair_that_makes_no_sense_is_refused_before_lengths_are_looked_at(monkeypatch):
    monkeypatch.setattr("duogen.experiment.resolve.limit", lambda *_: pytest.fail("it was"))
    with pytest.raises(UserError, match="Wasserstein without any"):
        completed("adversarial=wasserstein", "budget.samples=160")


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        ({"sha256": None}, [["data=own"], ["data=own", "data.classes=9", "data.sha256=abc", "data.folder=null"]]),
        ({"sha256": "def"}, [["data=own"]]),
        ({}, [["data=own"]]),
    ],
)
def test_what_only_the_files_of_the_data_know_is_told_wherever_the_config_repeats_it(data, asked, monkeypatch):
    facts = {"classes": 9, "sha256": "abc", "root": "/elsewhere", "folder": None}
    monkeypatch.setattr("duogen.experiment.resolve.facts", lambda config, allow: facts)
    found = []

    def compose(overrides, config_dir, known):
        found.append(list(overrides))
        return Composed({"data": data}, {}, tuple(overrides))

    monkeypatch.setattr(subject, "compose", compose)
    assert list(subject.told(["data=own"], None, (), None).overrides) == asked[-1]
    assert found == asked
