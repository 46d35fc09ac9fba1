"""The pool: who runs where and when, with crews that run nothing."""

import os
import signal
from collections import Counter
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import ClassVar

import pytest

from duogen.errors import UserError
from duogen.experiment.attempt import attempt
from duogen.signals import ENDING
from duogen.sweep.local import pool as subject
from duogen.sweep.local.pool import Pool, pool
from duogen.sweep.local.slots import Slots, named, on_gpus
from sweep.fakes import TRIAL, trial


class Crew:
    """Runs nothing: sends the rows of its key, is polled `lasts` times, then ends with a code."""

    made: ClassVar[dict] = {}
    rows: ClassVar[dict] = {}
    codes: ClassVar[dict] = {}
    lasts: ClassVar[dict] = {}

    def __init__(self, work, shares, environment, threads, log, timeout, grace):
        self.work, self.shares, self.environment, self.threads, self.log = work, shares, environment, threads, log
        self.limits, self.signals, self.timed_out, self.answers = (timeout, grace), [], False, []
        self.key = log.stem
        self.left = self.lasts.get(self.key, 3)
        self.rows = list(self.rows.get(self.key, ()))
        self.made[self.key] = self

    def start(self):
        line = self.shares[0][1]
        self.line = Connection(os.dup(line.fileno()))

    @property
    def sentinels(self):
        return []

    def patience(self):
        return 0.0

    def poll(self):
        while self.line.poll():
            self.answers.append(self.line.recv())
        if self.rows:
            self.line.send(self.rows.pop(0))
            return None
        self.left -= 1
        if self.left and not self.signals:
            return None
        self.line.close()
        return self.codes.get(self.key, 75 if self.signals else 0)

    def signal(self, number):
        self.signals.append(number)

    def kill(self):
        self.signals.append(signal.SIGKILL)


@pytest.fixture(autouse=True)
def crews(monkeypatch):
    monkeypatch.setattr(subject, "Crew", Crew)
    for name in ("made", "rows", "codes", "lasts"):
        monkeypatch.setattr(Crew, name, {})
    return Crew.made


class Desk:
    """Hands out trials in order, and notes what runs beside what."""

    def __init__(self, *trials, prune=()):
        self.trials, self.prune = list(trials), prune
        self.running, self.together, self.ends, self.rows, self.order = {}, [], [], [], []
        self.open = self.stopped = False

    def next(self):
        return self.trials.pop(0) if self.trials and not self.stopped else None

    def stop(self):
        self.stopped = True

    def tick(self):
        pass

    def started(self, one, slots):
        self.order.append(one.key)
        self.running[one.key] = list(slots)
        busy = Counter(name for names in self.running.values() for name in names)
        assert max(busy.values()) == 1
        self.together.append(sorted(self.running))

    def heard(self, one, step, row):
        self.rows.append((one.key, step, row))
        return step in self.prune

    def ended(self, one, code, timed_out):
        del self.running[one.key]
        self.ends.append((one.key, code, timed_out))


def test_as_many_run_at_once_as_there_are_slots(tmp_path):
    desk = Desk(*(trial(tmp_path, key) for key in "abcde"))
    one = Pool(Slots(named(["x", "y", "z"], 3)))
    one.work(desk)
    assert (one.capacity, one.places) == (3, 3)
    assert max(map(len, desk.together)) == 3
    assert desk.order == list("abcde")
    assert sorted(desk.ends) == [(key, 0, False) for key in "abcde"]
    assert len(one.slots.free) == 3


def test_a_trial_runs_its_file_where_it_was_put(tmp_path, crews):
    limited = trial(tmp_path, "a", trial=TRIAL | {"timeout": 60, "grace": 5}, trainer={"devices": 2})
    Pool(Slots(on_gpus(["0", "1"], 1, 6))).work(Desk(limited))
    crew = crews["a"]
    assert crew.work is attempt
    assert [share[0] for share in crew.shares] == [str(limited.file)] * 2
    assert crew.shares[1][1] is None
    assert (crew.threads, crew.log, crew.limits) == (3, limited.file.with_suffix(".log"), (60, 5))
    assert (crew.environment["CUDA_VISIBLE_DEVICES"], crew.environment["DUOGEN_SLOT"]) == ("0,1", "0,1")


def test_a_trial_of_several_ranks_waits_for_its_slots_and_is_not_overtaken(tmp_path):
    Crew.lasts = {"a": 2, "b": 9}
    desk = Desk(
        trial(tmp_path, "a"), trial(tmp_path, "b"), trial(tmp_path, "c", trainer={"devices": 2}), trial(tmp_path, "d")
    )
    Pool(Slots(named(["x", "y"], 2))).work(desk)
    assert desk.order == list("abcd")
    assert desk.together == [["a"], ["a", "b"], ["c"], ["d"]]


def test_a_trial_that_is_to_be_alone_shares_its_gpu_with_nobody(tmp_path):
    desk = Desk(trial(tmp_path, "a"), replace(trial(tmp_path, "b"), alone=True), trial(tmp_path, "c"))
    Pool(Slots(on_gpus(["0"], 2, 2))).work(desk)
    assert desk.together == [["a"], ["b"], ["c"]]


def test_rows_are_passed_on_and_answered_where_an_answer_is_awaited(tmp_path, crews):
    Crew.rows = {"a": [(2, {"x": 1.0}, False), (3, {"x": 2.0}, True), (6, {"x": 3.0}, True)]}
    desk = Desk(trial(tmp_path, "a"), prune=(6,))
    Pool(Slots(named(["x"], 1))).work(desk)
    assert desk.rows == [("a", 2, {"x": 1.0}), ("a", 3, {"x": 2.0}), ("a", 6, {"x": 3.0})]
    assert crews["a"].answers == [False, True]


def test_what_a_trial_said_last_is_heard_before_its_end(tmp_path):
    Crew.rows, Crew.lasts = {"a": [(4, {"x": 1.0}, False)]}, {"a": 1}
    desk = Desk(trial(tmp_path, "a"))
    Pool(Slots(named(["x"], 1))).work(desk)
    assert desk.rows == [("a", 4, {"x": 1.0})]


def test_an_end_is_told_as_it_was(tmp_path, crews):
    Crew.codes = {"a": -9}
    desk = Desk(trial(tmp_path, "a"))
    Pool(Slots(named(["x"], 1))).work(desk)
    assert desk.ends == [("a", -9, False)]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_passed_on_and_nothing_more_begins(number, tmp_path, crews):
    class Signalled(Desk):
        def heard(self, one, step, row):
            if one.key == "b":
                os.kill(os.getpid(), number)
            return False

    Crew.rows, Crew.lasts = {"b": [(1, {}, False)]}, dict.fromkeys("ab", 50)
    before = [signal.getsignal(one) for one in ENDING]
    desk = Signalled(*(trial(tmp_path, key) for key in "abc"))
    one = Pool(Slots(named(["x", "y"], 2)))
    one.work(desk)
    assert one.stopped_by == number
    assert desk.stopped
    assert set(crews) == {"a", "b"}
    assert [crews[key].signals for key in "ab"] == [[number], [number]]
    assert sorted(desk.ends) == [("a", 75, False), ("b", 75, False)]
    assert [signal.getsignal(one) for one in ENDING] == before


def test_a_signal_while_the_desk_looks_for_a_trial_lets_none_begin(tmp_path, crews):
    class Slow(Desk):
        def next(self):
            found = super().next()
            os.kill(os.getpid(), signal.SIGTERM)
            return found

    Pool(Slots(named(["x"], 1))).work(Slow(trial(tmp_path, "a")))
    assert crews == {}


def test_a_signal_while_a_trial_starts_reaches_it_too(tmp_path, crews):
    class Starting(Desk):
        def started(self, one, slots):
            super().started(one, slots)
            os.kill(os.getpid(), signal.SIGTERM)

    Crew.lasts = {"a": 50}
    desk = Starting(trial(tmp_path, "a"), trial(tmp_path, "b"))
    Pool(Slots(named(["x", "y"], 2))).work(desk)
    assert crews["a"].signals == [signal.SIGTERM]
    assert desk.ends == [("a", 75, False)]


@pytest.mark.parametrize(("number", "heard"), [(signal.SIGINT, signal.SIGKILL), (signal.SIGTERM, signal.SIGTERM)])
def test_a_second_ctrl_c_kills_and_a_second_word_of_the_scheduler_does_not(number, heard, tmp_path, crews):
    class Impatient(Desk):
        def heard(self, one, step, row):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            return False

    Crew.rows = {"a": [(1, {}, False)]}
    Pool(Slots(named(["x"], 1))).work(Impatient(trial(tmp_path, "a")))
    assert crews["a"].signals == [number, heard]


def test_a_fault_of_the_desk_leaves_no_trial_behind(tmp_path, crews):
    class Faulty(Desk):
        def heard(self, one, step, row):
            raise ArithmeticError

    Crew.rows = {"a": [(1, {}, False)]}
    with pytest.raises(ArithmeticError):
        Pool(Slots(named(["x"], 1))).work(Faulty(trial(tmp_path, "a")))
    assert crews["a"].signals == [signal.SIGKILL]


def test_it_waits_for_what_runs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "ELSEWHERE_S", 0.001)

    class Elsewhere(Desk):
        asked = 0

        def next(self):
            self.asked += 1
            self.open = self.asked < 4
            return super().next() if self.asked == 4 else None

    desk = Elsewhere(trial(tmp_path, "a"))
    desk.open = True
    Pool(Slots(named(["x"], 1))).work(desk)
    assert desk.ends == [("a", 0, False)]


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(subject, "cores", lambda: 6)
    monkeypatch.setattr(subject, "nvidia_smi", lambda: "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def names(found):
    return [(slot.name, slot.device, slot.threads) for slot in found.slots.all]


@pytest.mark.usefixtures("machine")
def test_the_pool_of_a_machine(monkeypatch):
    assert names(pool(None, 1, 4)) == [("cpu0", None, 4)]
    assert names(pool(["a", "b"], 1, 4)) == [("a", None, 3), ("b", None, 3)]
    monkeypatch.setattr(subject, "nvidia_smi", lambda: "GPU 0: A (UUID: GPU-a)\nGPU 1: A (UUID: GPU-b)\n")
    assert names(pool(None, 1, 4)) == [("0", "0", 3), ("1", "1", 3)]
    assert [device for _, device, _ in names(pool(None, 2, 1))] == ["0", "1", "0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    assert [device for _, device, _ in names(pool(None, 1, 1))] == ["GPU-b"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert names(pool(None, 1, 3)) == [("cpu0", None, 3), ("cpu1", None, 3)]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((None, 1, 0), "threads=0"),
        ((None, 1, True), "threads=True"),
        ((None, 1, "two"), "threads=two"),
        (([], 1, 1), "slots="),
        (("abc", 1, 1), "slots=abc"),
        ((3, 1, 1), "slots=3"),
        ((None, 0, 1), "slots_per_gpu=0"),
        ((None, "many", 1), "slots_per_gpu=many"),
        ((None, True, 1), "slots_per_gpu=True"),
    ],
)
def test_what_is_no_pool_is_refused(given, named, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(UserError, match=named):
        pool(*given)
