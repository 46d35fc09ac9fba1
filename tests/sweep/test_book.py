"""The plan of a sweep: the same command continues it, more trials are welcome, another sweep is refused."""

import json
import shlex
import threading

import pytest
import yaml

from duogen.errors import UserError
from duogen.sweep import book
from duogen.sweep.book import Book, opened, read
from duogen.sweep.plan import TRIALS, write
from sweep.fakes import trial

SWEEPER = {"metric": "loss", "n_trials": 4, "n_jobs": None, "sampler": {"name": "TPESampler"}, "refused": "stop"}
SPACE = {"lr": "interval(0,1)"}


def begun(folder, *trials, **content):
    whole = opened(folder, "ring", ["data=ring"], fresh=True)
    whole.content |= content
    whole.add(trials)
    return whole


def refused(action, *parts):
    with pytest.raises(UserError) as caught:
        action()
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "fresh=true" in caught.value.remedy


def test_what_is_written_is_what_is_read(tmp_path):
    whole = begun(tmp_path, trial(tmp_path, "a", 1), trial(tmp_path, "b", 2, setting={"lr": "0.5"}, phase="wide"))
    whole.write()
    again = opened(tmp_path, "ring", ["data=ring"], fresh=False)
    assert again == whole
    assert again.trials == [
        {"key": "a", "setting": {"generator": "a"}, "seed": 1, "phase": "grid"},
        {"key": "b", "setting": {"lr": "0.5"}, "seed": 2, "phase": "wide"},
    ]
    assert list(yaml.safe_load((tmp_path / "sweep.yaml").read_text())) == list(whole.content)


def test_a_sweep_that_was_not_begun_has_no_trials(tmp_path):
    assert read(tmp_path) is None
    assert opened(tmp_path, "ring", [], fresh=False).trials == []


def test_a_fresh_start_forgets_the_trials(tmp_path):
    begun(tmp_path, trial(tmp_path, "a")).write()
    assert opened(tmp_path, "ring", [], fresh=True).trials == []


def test_the_command_can_be_pasted_and_does_not_start_over(tmp_path):
    words = ["data=ring", "seed=range(2)", "penalty=[r1],[r1, r2]", "fresh=true"]
    whole = opened(tmp_path, "ring", words, fresh=True)
    assert shlex.split(whole.content["command"]) == ["duogen", "train", "-m", *words[:3]]
    whole.write()
    longer = opened(tmp_path, "ring", ["data=ring", "seed=range(4)"], fresh=False)
    assert shlex.split(longer.content["command"])[-1] == "seed=range(4)"


def test_the_same_trials_again_change_nothing(tmp_path):
    trials = [trial(tmp_path, "a"), trial(tmp_path, "b")]
    whole = begun(tmp_path, *trials)
    before = json.dumps(whole.content)
    whole.add(trials)
    whole.refuse_removed(trials)
    assert json.dumps(whole.content) == before


def test_added_trials_come_after_the_old_ones(tmp_path):
    a, b, c = (trial(tmp_path, key, seed, setting={"lr": "1"}) for key, seed in (("a", 0), ("b", 1), ("c", 2)))
    whole = begun(tmp_path, a, c)
    whole.add([a, b, c])
    whole.refuse_removed([a, b, c])
    assert [entry["key"] for entry in whole.trials] == ["a", "c", "b"]


def test_a_trial_that_is_gone_is_named(tmp_path):
    a, b = trial(tmp_path, "a", 3), trial(tmp_path, "b", 4)
    refused(lambda: begun(tmp_path, a, b).refuse_removed([a]), "generator=b,seed=4 is gone")


def test_many_differences_are_counted(tmp_path):
    trials = [trial(tmp_path, key) for key in "abcdefgh"]
    with pytest.raises(UserError) as caught:
        begun(tmp_path, *trials).refuse_removed(trials[:1])
    assert caught.value.given.count("is gone") == 5
    assert "and 2 more" in caught.value.given


def test_a_trial_of_another_config_is_refused_with_the_difference(tmp_path):
    old = trial(tmp_path, "a", setting={"generator": "mlp"}, generator={"width": 64}, optimizer={"lr": 0.001})
    new = trial(tmp_path, "b", setting={"generator": "mlp"}, generator={"width": 32}, optimizer={"lr": 0.001})
    whole = begun(tmp_path, old)
    refused(lambda: whole.add([new]), "generator=mlp,seed=0: key a there, b here")
    (tmp_path / TRIALS).mkdir()
    write(old)
    refused(lambda: whole.add([new]), "generator=mlp,seed=0: generator.width: 64 there, 32 here)")


def test_settings_are_known_by_what_they_set_not_by_its_order(tmp_path):
    there = trial(tmp_path, "a", setting={"generator": "mlp", "lr": "1"})
    here = trial(tmp_path, "a", setting={"lr": "1", "generator": "mlp"})
    whole = begun(tmp_path, there)
    whole.add([here])
    whole.refuse_removed([here])
    assert len(whole.trials) == 1


def test_the_settings_of_a_phase_are_told_once_and_in_order(tmp_path):
    pairs = [("b", 0, "wide"), ("a", 0, "wide"), ("b", 1, "wide"), ("c", 0, "final")]
    trials = [trial(tmp_path, f"{key}{seed}", seed, phase, {"lr": key}) for key, seed, phase in pairs]
    whole = begun(tmp_path, *trials)
    assert whole.settings("wide") == [{"lr": "b"}, {"lr": "a"}]
    assert whole.settings("final") == [{"lr": "c"}]


@pytest.mark.parametrize(
    ("space", "sweeper", "named"),
    [
        (SPACE, SWEEPER, None),
        (SPACE, SWEEPER | {"n_trials": 9, "n_jobs": 2, "refused": "skip"}, None),
        (SPACE | {"seed": "0,1,2"}, SWEEPER, None),
        ({"lr": "interval(0,2)"}, SWEEPER, "space"),
        (SPACE | {"width": "1,2"}, SWEEPER, "space"),
        (SPACE, SWEEPER | {"metric": "modes"}, "metric: loss there, modes here"),
        (SPACE, SWEEPER | {"sampler": {"name": "RandomSampler"}}, "sampler"),
        (SPACE, {name: value for name, value in SWEEPER.items() if name != "metric"}, "metric: loss there, None here"),
    ],
)
def test_a_search_goes_on_in_its_space_by_its_method(space, sweeper, named, tmp_path):
    whole = begun(tmp_path, trial(tmp_path, "a"), space={**SPACE, "seed": "0"}, sweeper=dict(SWEEPER))
    if named is None:
        whole.refuse_other(space, sweeper)
    else:
        refused(lambda: whole.refuse_other(space, sweeper), named)


def test_a_search_that_has_drawn_nothing_may_become_another(tmp_path):
    whole = begun(tmp_path, space=dict(SPACE), sweeper=dict(SWEEPER))
    whole.refuse_other({"width": "1,2"}, {"metric": "modes"})


@pytest.mark.parametrize(
    "text", ["", "3", "[1, 2]", "a: [", "trials: []", "\udcff", "{schema: 1, trials: [], space: {}}"]
)
def test_a_file_that_is_no_plan_is_refused(text, tmp_path):
    (tmp_path / "sweep.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="cannot be read") as caught:
        opened(tmp_path, "ring", [], fresh=False)
    assert str(tmp_path / "sweep.yaml") in caught.value.given


def test_two_commands_plan_one_after_another(tmp_path):
    waiting, entered = threading.Event(), threading.Event()

    def second():
        waiting.set()
        with book.alone(tmp_path / "sweep"):
            entered.set()

    with book.alone(tmp_path / "sweep"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not entered.wait(0.05)
    thread.join(10)
    assert entered.is_set()


def test_what_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "sweep").touch()
    with pytest.raises(UserError, match="sweep cannot be used"), book.alone(tmp_path / "sweep"):
        pass


def test_a_book_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    begun(tmp_path, trial(tmp_path, "a")).write()
    before = (tmp_path / "sweep.yaml").read_bytes()

    def full(self, *_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        begun(tmp_path, trial(tmp_path, "b")).write()
    assert (tmp_path / "sweep.yaml").read_bytes() == before


def test_a_refusal_names_the_folder_and_what_is_welcome(tmp_path):
    error = Book(tmp_path, {"trials": []}).refusal(["one"])
    assert str(tmp_path) in error.given
    assert "seed=range(8)" in error.allowed
