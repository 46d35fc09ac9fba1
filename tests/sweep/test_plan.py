"""From settings to trials: which there are, in which order, and which are refused."""

import json
from dataclasses import replace

import pytest

from contracts.cases import MLP, SMALL
from duogen.errors import UserError
from duogen.experiment.attempt import load
from duogen.experiment.key import run_key
from duogen.sweep.axes import Setting
from duogen.sweep.plan import Planner, refuse_twins, write
from sweep.fakes import trial

FIXED = (*SMALL, *MLP, "latent_dim=3", "budget.steps=4")


def setting(key, value):
    return Setting({key: value}, [f"{key}={value}"])


class Composing(Planner):
    """Composes nothing: a setting's value is its key, and those that begin with `bad` are refused."""

    def trial(self, setting, seed, phase):
        (value,) = setting.names.values()
        if value.startswith("bad") or value == f"only{seed}":
            raise UserError(f"x={value} is bad", "x=good", "write x=good")
        return trial(self.folder, f"{value}-{seed}", seed, phase, dict(setting.names))


@pytest.fixture
def planner(tmp_path):
    return Composing("ring", tmp_path, FIXED, None, (), {})


def keys(trials):
    return [one.key for one in trials]


def settings(*values):
    return [setting("x", value) for value in values]


def test_all_settings_have_the_first_seed_before_any_has_the_next(planner):
    trials = planner.trials(iter(settings("a", "b")), (7, 3), "wide")
    assert keys(trials) == ["a-7", "b-7", "a-3", "b-3"]
    assert {one.phase for one in trials} == {"wide"}


def test_settings_that_make_no_sense_are_named_together(planner):
    with pytest.raises(UserError) as caught:
        planner.trials(settings("a", "bad1", "b", "bad2"), (0, 1), "grid")
    assert caught.value.given == "2 of 4 settings make no sense (x=bad1: x=bad1 is bad; x=bad2: x=bad2 is bad)"
    assert caught.value.allowed == "x=good"
    assert "hydra.sweeper.refused=skip" in caught.value.remedy


def test_of_many_the_first_five_are_named(planner):
    with pytest.raises(UserError) as caught:
        planner.trials(settings("a", *(f"bad{n}" for n in range(7))), (0,), "grid")
    assert caught.value.given.count("is bad") == 5
    assert "and 2 more" in caught.value.given


@pytest.mark.parametrize("skip", [True, False])
def test_a_mistake_that_all_share_is_told_as_it_is(skip, planner):
    with pytest.raises(UserError) as caught:
        planner.trials(settings("bad", "bad"), (0, 1), "grid", skip=skip)
    assert caught.value.given == "x=bad is bad"


def test_mistakes_of_all_settings_that_differ_are_told_apart(planner):
    with pytest.raises(UserError) as caught:
        planner.trials(settings("bad1", "bad2"), (0,), "grid", skip=True)
    assert caught.value.given.startswith("2 of 2 settings make no sense (x=bad1: ")
    assert "skip" not in caught.value.remedy


def test_they_may_be_skipped_and_are_said_once(planner, capsys):
    trials = planner.trials(settings("a", "bad1", "b"), (0, 1), "grid", skip=True)
    assert keys(trials) == ["a-0", "b-0", "a-1", "b-1"]
    assert capsys.readouterr().out == "left out x=bad1: x=bad1 is bad\n"


def test_a_setting_that_one_seed_alone_refuses_is_left_out_from_there(planner, capsys):
    assert keys(planner.trials(settings("only1", "b"), (0, 1, 2), "grid", skip=True)) == [
        "only1-0",
        "b-0",
        "b-1",
        "b-2",
    ]
    assert capsys.readouterr().out.count("left out") == 1


def test_two_settings_that_are_one_run_are_refused(tmp_path, planner):
    with pytest.raises(UserError, match="x=a,seed=0 and x=a,seed=0 are the same run"):
        planner.trials(settings("a", "a"), (0,), "grid")
    refuse_twins([trial(tmp_path, "a"), trial(tmp_path, "b")])


@pytest.fixture
def real(tmp_path):
    return Planner("mine", tmp_path, FIXED, None, (), {"git": "abc"}, prunable=True)


def test_a_trial_is_one_resolved_config_in_a_file_of_its_keys_name(real, tmp_path):
    one = real.trial(setting("generator.width", "5"), 3, "wide")
    config = one.plan.config
    assert (config["generator"]["width"], config["seed"], config["name"]) == (5, 3, "mine")
    assert config["trainer"]["max_steps"] == 4
    assert one.key == run_key(config)
    assert (one.plan.folder, one.file) == (tmp_path / one.key, tmp_path / "trials" / f"{one.key}.json")
    assert one.plan.overrides == [*FIXED, "generator.width=5", "seed=3"]
    assert one.plan.choices["generator"] == "mlp"
    assert one.plan.code == {"git": "abc"}
    assert one.plan.sweep == {
        "group": "mine", "phase": "wide", "label": "width=5,seed=3", "setting": {"generator.width": "5"},
        "prunable": True, "stop": str(one.file.with_suffix(".stop")),
    }  # fmt: skip
    assert not one.file.exists()
    one.file.parent.mkdir()
    write(one)
    assert load(one.file) == one.plan
    assert json.loads(one.file.read_text())["folder"] == str(one.plan.folder)


def test_equal_settings_have_equal_keys_whatever_the_sweep_is_called(real, tmp_path):
    one = real.trial(setting("generator.width", "5"), 3, "wide")
    other = replace(real, name="other", folder=tmp_path / "other", known={})
    assert other.trial(setting("generator.width", "5"), 3, "final").key == one.key
    assert real.trial(setting("generator.width", "5"), 4, "wide").key != one.key
    assert real.trial(setting("generator.width", "6"), 3, "wide").key != one.key


def test_what_was_composed_before_changes_nothing(real):
    first = [real.trial(setting("adversarial", name), 0, "grid") for name in ("hinge", "minimax")]
    again = replace(real, known={})
    assert [again.trial(setting("adversarial", name), 0, "grid") for name in ("hinge", "minimax")] == first


def test_what_decides_no_result_makes_twins(real):
    with pytest.raises(UserError, match="log_every=1,seed=0 and log_every=2,seed=0 are the same run"):
        real.trials([setting("log_every", "1"), setting("log_every", "2")], (0,), "grid")


def test_pairs_that_make_no_sense_are_refused_by_setting(real):
    with pytest.raises(UserError) as caught:
        real.trials([setting("adversarial", "hinge"), setting("adversarial", "wasserstein")], (0,), "grid")
    assert caught.value.given.startswith("1 of 2 settings make no sense (adversarial=wasserstein: ")


def test_a_file_that_changed_is_written_anew(tmp_path):
    one = trial(tmp_path, "a")
    one.file.parent.mkdir()
    write(one)
    one.file.write_text("{")
    write(one)
    assert load(one.file).config == one.plan.config
