"""What both kinds of sweep share: settings that are refused, other code that is told, and the exit code."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from duogen.complete import complete
from duogen.errors import UserError
from duogen.experiment.resolve import resolve
from duogen.sweep import session as subject
from duogen.sweep.agenda import Listed
from duogen.sweep.axes import Axes
from duogen.sweep.call import Call
from duogen.sweep.plan import TRIALS
from duogen.sweep.session import Session, changes, plain, refuse_settings
from sweep.fakes import end, trial

SETTINGS = {"metric": None, "params": {"x": "1"}, "settings": {}, "refused": "stop", "fail_fast_after": 5,
            "max_failure_rate": 0.0}  # fmt: skip
CODE = {"git": "abc", "dirty": False, "dirty_diff_sha256": None, "packages": {"torch": "2"}, "python": "3.11.7"}


class Fleet:
    """Ends each trial by its setting's word, in this process; or is stopped."""

    def __init__(self, places=None, stopped_by=None):
        self.stopped_by = stopped_by
        if places is not None:
            self.places = places

    def work(self, desk):
        for one in iter(desk.next, None):
            desk.started(one, ["x"])
            status = one.setting["ends"]
            end(one, status, "x" if status == "failed" else None)
            desk.ended(one, int(status != "done"), False)


def session(tmp_path, fleet=None, code=CODE, space=None, seeds=(0,), fresh=False, detach=False, **settings):
    call = Call(("data=ring",), None, (), tmp_path / "sweep", "mine", fresh)
    launcher = SimpleNamespace(fleet=lambda: fleet or Fleet(), detach=detach)
    sweeper = SimpleNamespace(settings=SETTINGS | settings, launcher=launcher)
    found = Session(call, sweeper, Axes(["data=ring"], space or {"ends": "done,failed"}, seeds, {}))
    found.code = code
    return found


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(subject, "software", lambda: CODE)
    monkeypatch.setattr(subject.results, "status", lambda folder: 0)


def ended(tmp_path, *words):
    return [trial(tmp_path / "sweep", f"{n}", n, setting={"ends": word}) for n, word in enumerate(words)]


def planned(one, trials, **given):
    with one.planning(**given):
        one.book.add(trials)
    return one


@pytest.mark.parametrize(("words", "rate", "code"), [("done", 0, 0), ("done failed", 0.5, 0), ("done failed", 0.4, 1)])
def test_the_exit_code_is_that_of_the_trials(words, rate, code, tmp_path):
    one, trials = session(tmp_path, max_failure_rate=rate), ended(tmp_path, *words.split())
    planned(one, trials)
    assert one.run(Listed(trials)) == code


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 75), (10, 75)])
def test_a_sweep_that_was_stopped_says_how_it_goes_on(number, code, tmp_path, capsys):
    one, trials = session(tmp_path, Fleet(stopped_by=number)), ended(tmp_path, "done")
    planned(one, trials)
    assert one.run(Listed(trials)) == code
    assert "the same command goes on" in capsys.readouterr().out


@pytest.mark.parametrize(("detach", "tables"), [(True, 0), (False, 1)])
def test_what_is_left_to_a_queue_has_no_tables_yet(detach, tables, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(subject.results, "status", lambda folder: shown.append(folder) or 0)
    one, trials = session(tmp_path, detach=detach, max_failure_rate=1), ended(tmp_path, "done", "failed")
    planned(one, trials)
    assert one.run(Listed(trials)) == 0
    assert len(shown) == tables


@pytest.mark.parametrize("asked", [True, False])
def test_the_code_is_copied_when_the_plan_stands_and_before_a_trial_begins(asked, tmp_path, monkeypatch):
    happened = []
    monkeypatch.setattr(subject, "snapshot", lambda folder, allow: happened.append((folder, allow)))
    monkeypatch.setattr(Fleet, "work", lambda self, desk: happened.append("works"))
    one = session(tmp_path, snapshot=asked)
    assert happened == []
    planned(one, [])
    one.run(Listed([]))
    assert happened == [*([(tmp_path / "sweep", ())] if asked else []), "works"]


def test_the_plan_says_all_that_was_asked_for(tmp_path):
    one = session(tmp_path, seeds=(4, 5))
    planned(one, ended(tmp_path, "done"))
    content = one.book.content
    assert (content["name"], content["command"]) == ("mine", "duogen train -m data=ring")
    assert content["overrides"] == ["data=ring"]
    assert content["space"] == {"ends": "done,failed", "seed": "4,5"}
    assert content["sweeper"] == {"metric": None, "refused": "stop", "fail_fast_after": 5, "max_failure_rate": 0.0}
    assert [entry["key"] for entry in content["trials"]] == ["0"]
    assert (tmp_path / "sweep" / TRIALS).is_dir()


def test_the_same_command_goes_on_and_more_seeds_are_welcome(tmp_path):
    planned(session(tmp_path), ended(tmp_path, "done"))
    again = planned(session(tmp_path), ended(tmp_path, "done"))
    assert len(again.book.trials) == 1
    more = planned(session(tmp_path, seeds=(0, 1)), ended(tmp_path, "done", "done"))
    assert [entry["key"] for entry in more.book.trials] == ["0", "1"]


def test_a_search_stays_in_its_space_and_a_grid_may_widen_it(tmp_path):
    planned(session(tmp_path), ended(tmp_path, "done"))
    other = session(tmp_path, space={"ends": "done,failed,nan"})
    with pytest.raises(UserError, match="another sweep"), other.planning():
        pytest.fail("it went on")
    planned(other, ended(tmp_path, "done", "nan"), widening=True)
    assert [entry["key"] for entry in other.book.trials] == ["0", "1"]


def test_a_plan_that_is_refused_is_not_written(tmp_path):
    planned(session(tmp_path), ended(tmp_path, "done"))
    before = (tmp_path / "sweep" / "sweep.yaml").read_bytes()
    changed = [replace(one, plan=replace(one.plan, folder=tmp_path / "other")) for one in ended(tmp_path, "done")]
    with pytest.raises(UserError, match="another sweep"):
        planned(session(tmp_path), changed, widening=True)
    assert (tmp_path / "sweep" / "sweep.yaml").read_bytes() == before


def test_other_software_is_told_once_and_kept(tmp_path, capsys):
    planned(session(tmp_path), ended(tmp_path, "done"))
    assert capsys.readouterr().out == ""
    newer = CODE | {"git": "def", "packages": {"torch": "3"}}
    for _ in range(2):
        one = planned(session(tmp_path, code=newer), ended(tmp_path, "done"))
    said = capsys.readouterr().out
    assert said.count("begun under other software") == 1
    assert "commit abc then, def now; torch 2 then, 3 now" in said
    assert [code["git"] for code in one.book.content["code"]] == ["abc", "def"]


@pytest.mark.parametrize("places", [1, 2])
def test_a_trial_that_no_place_could_take_is_refused(places, tmp_path):
    one = session(tmp_path, Fleet(places))
    large = trial(tmp_path, "a", trainer={"devices": 2})
    if places == 2:
        one.refuse_large([large])
    else:
        with pytest.raises(UserError, match="generator=a,seed=0 asks for 2 slots"):
            one.refuse_large([large])


def test_a_fleet_without_places_takes_anything(tmp_path):
    session(tmp_path).refuse_large([trial(tmp_path, "a", trainer={"devices": 99})])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("refused", "maybe"),
        ("fail_fast_after", 0),
        ("fail_fast_after", True),
        ("fail_fast_after", 1.5),
        ("max_failure_rate", -0.1),
        ("max_failure_rate", 2),
        ("max_failure_rate", True),
        ("max_failure_rate", "half"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name, value, tmp_path):
    with pytest.raises(UserError, match=f"hydra.sweeper.{name}={value}"):
        session(tmp_path, **{name: value})
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("given", [{"fail_fast_after": None}, {"max_failure_rate": 1}, {"refused": "skip"}])
def test_settings_that_make_sense_pass(given):
    refuse_settings(SETTINGS | given)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": (1, 2.5), 3: None}, {"a": [1, 2.5], "3": None}),
        (partial(sorted, key=None, reverse=True), {"name": "sorted", "key": None, "reverse": True}),
        (Path, {"name": "Path"}),
        (True, True),
    ],
)
def test_settings_are_noted_as_plain_values(value, expected):
    assert plain(value) == expected


def test_changes_are_told_in_words():
    old = CODE | {"git": "0123456789abcdef", "dirty_diff_sha256": "1", "python": "3.12.1", "packages": {}}
    told = "commit 01234567 then, abc now; uncommitted changes 1 then, none now; python 3.12.1 then, 3.11.7 now"
    assert changes(old, CODE) == f"{told}; torch None then, 2 now"


@pytest.mark.parametrize(
    ("given", "shown", "direction"),
    [
        ({}, ("modes_found", True), None),
        ({"metric": "mode_entropy_gap"}, ("mode_entropy_gap", False), "minimize"),
        ({"metric": ["high_quality", "mode_entropy_gap"]}, ("high_quality", True), ["maximize", "minimize"]),
        ({"metric": "high_quality", "direction": "minimize"}, ("high_quality", False), "minimize"),
    ],
)
def test_a_sweep_goes_by_its_metric_in_the_metrics_own_direction(given, shown, direction, tmp_path):
    one = session(tmp_path, **given)
    one.aim([resolve(complete(["data=ring", "generator=mlp", "discriminator=mlp"], None, ()).config, "x", ())])
    assert one.shown == shown
    assert one.described.get("direction") == direction


def test_the_monitored_value_is_shown(tmp_path):
    one = session(tmp_path)
    parts = ["data=ring", "generator=mlp", "discriminator=mlp", "monitor=mode_entropy_gap"]
    one.aim([resolve(complete(parts, None, ()).config, "x", ())])
    assert one.shown == ("mode_entropy_gap", False)
