"""How a run ended where its processes could not say so."""

import json
import signal

import pytest

from duogen.experiment.folder import RunFolder
from duogen.experiment.key import run_key
from duogen.experiment.trial import Plan
from duogen.experiment.verdict import reason, settle, tail
from duogen.records import RunRecord

CONFIG = {"seed": 3, "trial": {"timeout": 90, "grace": 30, "attempts": 3}}


@pytest.fixture
def plan(tmp_path):
    return Plan(CONFIG, tmp_path / "run", {"data": "ring"}, ["data=ring"], sweep={"group": "g", "label": "seed=3"})


def left(plan, status, error=None, failures=0):
    folder = RunFolder(plan.folder)
    folder.path.mkdir()
    folder.write_record(RunRecord("k", ["k"], status, {}, [], 3, steps=7, error=error, failures=failures))


def settled(plan, *given):
    """The record as it is returned, which must be the one that stands."""
    record = settle(plan, *given)
    standing = RunFolder(plan.folder).record()
    assert json.dumps(standing.to_json()) == json.dumps(record.to_json())
    return standing


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1, ""),
        (0, "exited with 0 and no word"),
        (75, "exited with 75 and no word"),
        (-9, "killed by SIGKILL (the system does that when memory runs out)"),
        (-11, "killed by SIGSEGV"),
        (-15, "killed by SIGTERM"),
        (-99, "killed by 99"),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_left_no_word_has_failed(code, error, begun, plan):
    if begun:
        left(plan, "running")
    record = settled(plan, code)
    assert (record.status, record.error, record.failures) == ("failed", error, 1)
    assert record.steps == (7 if begun else 0)


def test_a_run_without_a_record_gets_one_that_says_what_it_was(plan):
    record = settled(plan, 2)
    assert record.key == run_key(CONFIG)
    assert list(record.keys) == [record.key]
    assert (record.choices, record.overrides, record.seed) == ({"data": "ring"}, ["data=ring"], 3)
    assert record.sweep == {"group": "g", "label": "seed=3"}


@pytest.mark.parametrize("status", ["done", "pruned", "nan", "failed", "oom", "timeout", "preempted", "interrupted"])
@pytest.mark.parametrize("code", [0, 1, 75, 130, -9])
def test_what_a_run_said_itself_stands(status, code, plan):
    left(plan, status, "its own words", 1)
    before = (plan.folder / "record.json").read_bytes()
    assert settle(plan, code).status == status
    assert (plan.folder / "record.json").read_bytes() == before


@pytest.mark.parametrize("status", ["running", "preempted", "interrupted"])
@pytest.mark.parametrize("code", [75, 130, -9, 0])
def test_a_run_that_was_told_to_end_for_its_time_has_timed_out(status, code, plan):
    left(plan, status)
    record = settled(plan, code, True)
    assert (record.status, record.failures, record.steps) == ("timeout", 1, 7)
    assert record.error == "stopped after 90 s (trial.timeout)"


def test_a_run_that_never_began_in_its_time_has_timed_out(plan):
    assert settled(plan, -9, True).status == "timeout"


@pytest.mark.parametrize("status", ["done", "pruned", "nan", "failed", "oom"])
def test_a_run_that_ended_just_then_has_not(status, plan):
    left(plan, status, "its own words")
    assert settled(plan, 0, True).status == status


@pytest.mark.parametrize("status", ["running", "preempted", "interrupted"])
def test_a_refused_run_has_failed_with_what_was_said(status, plan, tmp_path):
    left(plan, status)
    log = tmp_path / "log"
    log.write_text("duogen: a=1\n  allowed: a=2\n  do: write a=2\n")
    record = settled(plan, 2, False, log)
    assert (record.status, record.error) == ("failed", "duogen: a=1\n  allowed: a=2\n  do: write a=2")


@pytest.mark.parametrize("status", ["done", "pruned"])
def test_a_refusal_does_not_undo_what_is_done(status, plan):
    left(plan, status)
    assert settled(plan, 2).status == status


def test_it_is_settled_once(plan, tmp_path):
    left(plan, "running")
    log = tmp_path / "log"
    log.write_text("Killed\n")
    first = settled(plan, -9, False, log)
    assert settled(plan, -9, False, log) == first
    assert first.failures == 1


@pytest.mark.parametrize("before", ["failed", "oom", "timeout", "preempted", "interrupted"])
@pytest.mark.parametrize(
    ("code", "timed_out", "status"), [(-9, False, "failed"), (1, False, "failed"), (-9, True, "timeout")]
)
def test_what_an_earlier_attempt_said_is_not_the_word_of_this_one(before, code, timed_out, status, plan):
    left(plan, before, "its own words", 1)
    record = settle(plan, code, timed_out, untouched=True)
    assert (record.status, record.failures, record.steps) == (status, 2, 7)
    assert record.error != "its own words"


@pytest.mark.parametrize(("before", "code"), [("done", -9), ("pruned", 1), ("preempted", 75), ("interrupted", 130)])
def test_an_attempt_that_had_nothing_to_add_leaves_the_record_as_it_was(before, code, plan):
    left(plan, before, failures=1)
    record = settle(plan, code, untouched=True)
    assert (record.status, record.failures) == (before, 1)


def test_a_refusal_counts_each_time(plan):
    assert [settled(plan, 2).failures for _ in range(3)] == [1, 2, 3]


def test_the_record_of_a_run_that_goes_on_elsewhere_is_its_own(plan):
    left(plan, "running")
    with RunFolder(plan.folder).lock():
        assert settle(plan, 2).status == "running"
    assert RunFolder(plan.folder).record().status == "running"


def test_the_error_is_the_end_of_this_attempts_log(plan, tmp_path):
    log = tmp_path / "log"
    log.write_text("an older attempt\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("Fatal Python error: Segmentation fault\n")
    assert settled(plan, -11, False, log, start).error == "Fatal Python error: Segmentation fault\nkilled by SIGSEGV"


@pytest.mark.parametrize(
    ("content", "start", "expected"),
    [
        (b"", 0, ""),
        (b"  one\ntwo\n\n", 0, "one\ntwo"),
        (b"old\nnew\n", 4, "new"),
        (b"old\n", 4, ""),
        (b"x" * 5000, 0, "x" * 4000),
        (b"\xff\xc3\xa9", 0, "\ufffd\u00e9"),
    ],
)
def test_the_tail_of_a_log(content, start, expected, tmp_path):
    (tmp_path / "log").write_bytes(content)
    assert tail(tmp_path / "log", start) == expected


def test_without_a_log_nothing_was_said(tmp_path):
    assert tail(None, 0) == ""
    assert tail(tmp_path / "none", 0) == ""


def test_every_signal_has_its_name():
    assert [reason(-number) for number in (signal.SIGUSR1, signal.SIGABRT)] == [
        "killed by SIGUSR1",
        "killed by SIGABRT",
    ]
