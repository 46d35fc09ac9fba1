"""A fleet of batches beside an engine that does as it is told: nothing runs, nothing waits."""

import json
import os
import signal

import pytest

from duogen.errors import UserError
from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Trial
from duogen.sweep.cluster.batches import LOST, Batches, Detached
from duogen.sweep.cluster.notes import End, Notes


def trial(folder, key: str) -> Trial:
    plan = Plan({"trainer": {"devices": 1}}, folder / key)
    return Trial(plan, folder / "trials" / f"{key}.json", {"generator": key}, seed=3)


@pytest.fixture
def trials(tmp_path):
    (tmp_path / "trials").mkdir()
    found = [trial(tmp_path, key) for key in "abcde"]
    for one in found:
        one.plan.folder.mkdir()
    return found


class Paper:
    """A desk that writes down what it hears; trials told to come `again` are handed out once more."""

    def __init__(self, trials, again=(), prune=(), elsewhere=0):
        self.waiting, self.again, self.prune, self.elsewhere = list(trials), list(again), prune, elsewhere
        self.told, self.stopped = [], False

    def next(self):
        return self.waiting.pop(0) if self.waiting and not self.stopped else None

    @property
    def open(self):
        self.elsewhere -= 1
        return self.elsewhere >= 0

    def stop(self):
        self.stopped = True

    def started(self, trial, slots):
        self.told.append(("started", trial.key, *slots))

    def heard(self, trial, step, row):
        self.told.append(("heard", trial.key, step))
        return (trial.key, step) in self.prune

    def ended(self, trial, code, timed_out):
        self.told.append(("ended", trial.key, code, timed_out))
        if trial.key in self.again:
            self.again.remove(trial.key)
            self.waiting.append(trial)

    def ends(self):
        return [told[1:] for told in self.told if told[0] == "ended"]


class Scripted:
    """A job of a script: one action at each look, over when there is none left."""

    def __init__(self, name, actions, error=None, output=None):
        self.name, self.actions, self.error, self.said = name, list(actions), error, output

    def over(self):
        if not self.actions:
            return True
        self.actions.pop(0)()
        return not self.actions

    def refused(self):
        return self.error

    def output(self):
        return self.said


class Engine:
    def __init__(self, script, alive=(), **more):
        self.script, self.alive, self.more = script, alive, more
        self.batches, self.cancelled = [], []

    def send(self, trials, index):
        self.batches.append((index, [one.key for one in trials]))
        return [Scripted(f"7_{index + n}", self.script(one), **self.more) for n, one in enumerate(trials)]

    def found(self, name):
        return Scripted(name, self.alive[name]) if name in self.alive else None

    def cancel(self, jobs):
        self.cancelled.append([job.name for job in jobs])
        for job in jobs:
            job.actions.clear()


def record(one, text="{}"):
    return lambda: (one.plan.folder / "record.json").write_text(text)


def rows(one, *steps):
    lines = "".join(f"{json.dumps({'step': step, 'validate/gan/x': step / 4})}\n" for step in steps)
    return lambda: (one.plan.folder / "metrics.jsonl").open("a").write(lines)


def ends(one, code=0, timed_out=False):
    return lambda: Notes(one.file).write_end(End(code, timed_out))


def nothing():
    return None


def fleet(engine, at_once=10, grace_s=0.0):
    return Batches(engine, at_once=at_once, poll_s=0.0, grace_s=grace_s)


def test_every_trial_goes_out_once_and_its_end_is_told_as_its_last_word_says(trials):
    words = {"a": (0, False), "b": (1, False), "c": (1, True), "d": (-9, False), "e": (75, False)}
    engine, desk = Engine(lambda one: [ends(one, *words[one.key])]), Paper(trials)
    fleet(engine).work(desk)
    assert engine.batches == [(0, ["a", "b", "c", "d", "e"])]
    assert desk.ends() == [(key, *word) for key, word in words.items()]
    assert engine.cancelled == []


def test_there_are_never_more_out_than_there_is_room_for_and_a_landed_one_makes_room(trials):
    engine, desk = Engine(lambda one: [nothing, ends(one)]), Paper(trials)
    fleet(engine, at_once=2).work(desk)
    assert engine.batches == [(0, ["a", "b"]), (2, ["c", "d"]), (4, ["e"])]
    assert [end[0] for end in desk.ends()] == ["a", "b", "c", "d", "e"]


def test_a_trial_that_comes_back_is_sent_again_without_its_old_word(trials):
    codes = iter([75, 0])
    engine, desk = Engine(lambda one: [ends(one, next(codes))]), Paper(trials[:1], again=["a"])
    fleet(engine).work(desk)
    assert engine.batches == [(0, ["a"]), (1, ["a"])]
    assert desk.ends() == [("a", 75, False), ("a", 0, False)]


def test_a_row_is_told_once_and_a_pruned_trial_finds_the_note_that_stops_it(trials):
    one, stopped = trials[0], []
    script = [
        rows(one, 5),
        record(one),
        rows(one, 10),
        nothing,
        lambda: stopped.append(one.file.with_suffix(".stop").exists()),
        ends(one),
    ]
    desk = Paper([one], prune=[("a", 10)])
    fleet(Engine(lambda one: script)).work(desk)
    assert desk.told == [
        ("started", "a", "7_0"), ("heard", "a", 5), ("heard", "a", 10), ("ended", "a", 0, False)
    ]  # fmt: skip
    assert stopped == [True]


def test_rows_of_an_earlier_attempt_count_from_when_the_trial_has_begun_again(trials):
    one = trials[0]
    record(one)()
    rows(one, 5)()
    desk = Paper([one])
    fleet(Engine(lambda one: [nothing, record(one, "{...}"), ends(one)])).work(desk)
    assert [told[0] for told in desk.told] == ["started", "heard", "ended"]
    desk = Paper([one])
    fleet(Engine(lambda one: [nothing])).work(desk)
    assert [told[0] for told in desk.told] == ["ended"], "a job that never began tells nothing"


def test_a_job_that_dies_without_a_word_is_lost_and_what_it_printed_is_kept(trials, tmp_path):
    printed = tmp_path / "err"
    printed.write_text("slurmstepd: oom-kill")
    engine, desk = Engine(lambda one: [record(one)] if one.key == "b" else [ends(one)], output=printed), Paper(trials)
    fleet(engine).work(desk)
    assert sorted(desk.ends()) == [(key, LOST if key == "b" else 0, False) for key in "abcde"]
    assert trials[1].file.with_suffix(".log").read_text() == "slurmstepd: oom-kill"
    assert not trials[0].file.with_suffix(".log").exists()


def test_a_last_word_may_come_late_within_the_grace(trials):
    one = trials[0]

    class Late(Scripted):
        looks = 0

        def over(self):
            self.looks += 1
            if self.looks == 4:
                ends(one, 3)()
            return True

    engine, desk = Engine(lambda one: []), Paper([one])
    engine.send = lambda trials, index: [Late("1", [])]
    fleet(engine, grace_s=60.0).work(desk)
    assert desk.ends() == [("a", 3, False)]


def test_an_engine_that_cannot_run_what_it_was_given_says_why(trials):
    refusal = UserError("no such partition", "debug", "name it")
    with pytest.raises(UserError, match="no such partition"):
        fleet(Engine(lambda one: [nothing], error=refusal)).work(Paper(trials))


def test_a_refusal_that_comes_after_a_trial_has_begun_loses_that_trial_alone(trials):
    engine = Engine(lambda one: [record(one)] if one.key == "a" else [record(one), ends(one)], error=ValueError("gone"))
    desk = Paper(trials[:2])
    fleet(engine).work(desk)
    assert sorted(desk.ends()) == [("a", LOST, False), ("b", 0, False)]


def test_a_job_of_an_earlier_command_is_waited_for_and_one_that_is_gone_is_submitted_anew(trials):
    Notes(trials[0].file).write_job("4_0")
    Notes(trials[1].file).write_job("4_1")
    engine = Engine(lambda one: [ends(one)], alive={"4_0": [nothing, ends(trials[0], 1)]})
    desk = Paper(trials[:3])
    fleet(engine).work(desk)
    assert engine.batches == [(0, ["b", "c"])]
    assert sorted(desk.ends()) == [("a", 1, False), ("b", 0, False), ("c", 0, False)]
    assert [Notes(one.file).job() for one in trials[:3]] == ["4_0", "7_0", "7_1"]


def test_trials_that_another_command_runs_are_waited_for(trials):
    desk = Paper([], elsewhere=3)
    fleet(Engine(lambda one: [])).work(desk)
    assert desk.elsewhere < 0


def test_a_signal_cancels_the_jobs_and_waits_for_them(trials):
    def interrupted():
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    engine = Engine(lambda one: [nothing, interrupted, nothing, nothing] if one.key == "a" else [nothing] * 9)
    desk = Paper(trials)
    fleet(engine, at_once=2, grace_s=60.0).work(desk)
    assert engine.cancelled == [["7_0", "7_1"]]
    assert engine.batches == [(0, ["a", "b"])], "nothing more is sent"
    assert sorted(desk.ends()) == [("a", LOST, False), ("b", LOST, False)]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_does_not_wait(trials):
    engine = Engine(lambda one: [lambda: os.kill(os.getpid(), signal.SIGINT)] * 2 + [nothing] * 9)
    engine.cancel = lambda jobs: engine.cancelled.append(len(jobs))
    with pytest.raises(KeyboardInterrupt):
        fleet(engine).work(Paper(trials[:1]))
    assert engine.cancelled == [1, 1]


def test_an_error_of_the_command_leaves_no_job_behind(trials):
    engine, desk = Engine(lambda one: [ends(one)]), Paper(trials[:2])
    desk.ended = lambda *told: 1 / 0
    with pytest.raises(ZeroDivisionError):
        fleet(engine).work(desk)
    assert engine.cancelled == [["7_0", "7_1"]]


def test_detached_everything_is_submitted_and_nothing_waited_for(trials, capsys):
    Notes(trials[3].file).write_job("4_1")
    engine = Engine(lambda one: [], alive={"4_1": []})
    desk = Paper(trials)
    Detached(engine, at_once=3, poll_s=0.0, grace_s=0.0).work(desk)
    assert engine.batches == [(0, ["a", "b", "c"]), (3, ["e"])]
    assert desk.told == []
    assert engine.cancelled == []
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == [
        f"job {job}: generator={key},seed=3" for job, key in [("7_0", "a"), ("7_1", "b"), ("7_2", "c"), ("4_1", "d")]
    ]
    assert printed[5] == f"5 trials are in the queue. See: duogen sweep status {trials[0].plan.folder.parent}"


@pytest.mark.parametrize("moment", ["next", "send"])
def test_a_signal_while_trials_go_out_cancels_these_too(moment, trials):
    class Desk(Paper):
        def next(self):
            return signalled("next", super().next())

    class Sending(Engine):
        def send(self, trials, index):
            return signalled("send", super().send(trials, index))

    def signalled(name, found):
        if name == moment and not desk.stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    desk, engine = Desk(trials[:2]), Sending(lambda one: [lambda: None] * 50)
    Batches(engine, at_once=9, poll_s=0.0, grace_s=0.0).work(desk)
    assert [name for names in engine.cancelled for name in names] == [f"7_{n}" for n in range(len(desk.ends()))]
    assert len(desk.ends()) == (1 if moment == "next" else 2)
