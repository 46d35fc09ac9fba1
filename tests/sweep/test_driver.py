"""What the driver hands out, and what it makes of each end, with records instead of runs."""

import pytest

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.sweep.driver import STALLED, Driver, Policy
from duogen.sweep.plan import TRIALS
from sweep.fakes import TRIAL, Agenda, Screen, end, trial

VALIDATED = '{"step": 5, "validate/gan/loss": 2.0}\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / TRIALS).mkdir()
    return tmp_path


def driver(folder, *trials, fail_fast_after=None, rate=0.0, prune=()):
    return Driver(Agenda(trials, prune), folder, Screen(), Policy(fail_fast_after, rate))


def keys(driver):
    """Everything that it hands out now."""
    return [one.key for one in iter(driver.next, None)]


def run(driver, status, code=0, error=None, steps=5, timed_out=False):
    """The next trial, ended so."""
    one = driver.next()
    assert one is not None
    driver.started(one, ["a"])
    end(one, status, error, steps)
    driver.ended(one, code, timed_out)
    return one


def test_trials_are_handed_out_once_in_order_with_their_files(folder):
    trials = [trial(folder, key) for key in "abc"]
    desk = driver(folder, *trials)
    assert keys(desk) == ["a", "b", "c"]
    assert all(one.file.exists() for one in trials)
    assert not desk.open


def test_what_is_over_is_told_and_not_run_again(folder):
    trials = [trial(folder, key) for key in "abcd"]
    end(trials[0], "done", rows=VALIDATED)
    end(trials[1], "failed", "x", failures=3)
    end(trials[2], "failed", "x", failures=2)
    desk = driver(folder, *trials)
    assert keys(desk) == ["c", "d"]
    assert desk.agenda.told == [("a", "done"), ("b", "failed")]
    assert desk.screen.of("skipped") == [["a", "done", {"loss": 2.0}], ["b", "failed", {}]]
    assert (desk.failure_rate, desk.exit_code) == (0.5, 1)
    assert desk.claims.take("a")


def test_fresh_starts_over_what_is_done_once(folder):
    one = trial(folder, "a", fresh=True)
    end(one, "done")
    with RunFolder(one.plan.folder).lock():
        pass
    desk = driver(folder, one)
    assert desk.next() == one
    assert not (one.plan.folder / "record.json").exists()
    end(one, "preempted")
    desk.ended(one, 75, False)
    assert desk.next() == one
    assert (one.plan.folder / "record.json").exists()


def test_fresh_starts_over_only_once_what_two_phases_ask_for(folder):
    one, same = trial(folder, "a", fresh=True), trial(folder, "a", phase="final", fresh=True)
    desk = driver(folder, one, same)
    run(desk, "done")
    assert desk.next() is None
    assert desk.agenda.told == [("a", "done"), ("a", "done")]
    assert RunFolder(one.plan.folder).record().status == "done"


def test_an_earlier_wish_to_stop_is_forgotten(folder):
    one = trial(folder, "a")
    one.file.with_suffix(".stop").touch()
    driver(folder, one).next()
    assert not one.file.with_suffix(".stop").exists()


@pytest.mark.parametrize(
    ("status", "code", "rate"),
    [("done", 0, 0.0), ("pruned", 0, 0.0), ("nan", 1, 1.0), ("failed", 1, 1.0), ("timeout", 1, 1.0)],
)
def test_an_end_is_told_once_and_counted(status, code, rate, folder):
    desk = driver(folder, trial(folder, "a"))
    run(desk, status, code)
    assert desk.next() is None
    assert desk.agenda.told == [("a", status)]
    assert desk.screen.of("ended") == [["a", status]]
    assert (desk.failure_rate, desk.exit_code) == (rate, int(rate))
    assert desk.claims.take("a")


def test_what_the_processes_could_not_write_is_settled(folder):
    one = trial(folder, "a")
    one.file.with_suffix(".log").write_text("an older attempt\n")
    desk = driver(folder, one)
    desk.next()
    with one.file.with_suffix(".log").open("a") as log:
        log.write("Fatal Python error\n")
    desk.ended(one, -9, False)
    record = RunFolder(one.plan.folder).record()
    assert record.status == "failed"
    assert record.error.startswith("Fatal Python error\nkilled by SIGKILL")


@pytest.mark.parametrize("before", ["failed", "oom", "preempted", "interrupted"])
@pytest.mark.parametrize(("code", "said"), [(-11, "SIGSEGV"), (1, "planted")])
def test_an_attempt_that_dies_before_its_first_word_has_failed_whatever_the_one_before_said(before, code, said, folder):
    one = trial(folder, "a")
    end(one, before, "an older error", failures=1)
    desk = driver(folder, one)
    desk.next()
    one.file.with_suffix(".log").write_text("planted\n")
    desk.ended(one, code, False)
    record = RunFolder(one.plan.folder).record()
    assert (record.status, record.failures, desk.agenda.told) == ("failed", 2, [("a", "failed")])
    assert said in record.error


def test_a_trial_that_comes_back_and_dies_before_its_first_word_has_failed(folder):
    desk = driver(folder, trial(folder, "a"))
    run(desk, "preempted", 75)
    one = desk.next()
    desk.ended(one, -9, False)
    assert desk.agenda.told == [("a", "failed")]


def test_a_fault_of_the_agenda_is_no_failure_of_the_trial(folder):
    class Faulty(Agenda):
        def ended(self, trial, outcome):
            super().ended(trial, outcome)
            raise UserError("a metric", "another", "take it")

    end(one := trial(folder, "a"), "done")
    desk = Driver(Faulty([one]), folder, Screen(), Policy(None, 0.0))
    with pytest.raises(UserError, match="a metric"):
        desk.next()
    assert desk.agenda.told == [("a", "done")]


def test_a_folder_that_refuses_is_a_failed_trial(folder):
    one = trial(folder, "a")
    one.plan.folder.mkdir()
    (one.plan.folder / "record.json").write_text("{")
    desk = driver(folder, one, trial(folder, "b"))
    assert keys(desk) == ["b"]
    assert desk.agenda.told == [("a", "failed")]
    assert desk.claims.take("a")


def test_out_of_memory_comes_back_once_alone_and_before_the_others(folder):
    desk = driver(folder, trial(folder, "a"), trial(folder, "b"))
    assert not run(desk, "oom", 1).alone
    assert desk.open
    again = run(desk, "oom", 1)
    assert (again.key, again.alone) == ("a", True)
    assert desk.agenda.told == [("a", "oom")]
    assert keys(desk) == ["b"]


def test_out_of_memory_that_gets_by_alone_is_done(folder):
    desk = driver(folder, trial(folder, "a"))
    run(desk, "oom", 1)
    run(desk, "done")
    assert (desk.agenda.told, desk.exit_code) == ([("a", "done")], 0)


@pytest.mark.parametrize(("status", "code"), [("preempted", 75), ("interrupted", 130)])
def test_a_preempted_trial_comes_back_while_it_gets_on(status, code, folder):
    desk = driver(folder, trial(folder, "a"))
    for steps in range(3 * STALLED):
        assert run(desk, status, code, steps=steps).key == "a"
        assert desk.agenda.told == []
    run(desk, "done")
    assert (desk.agenda.told, desk.exit_code) == ([("a", "done")], 0)


def test_a_trial_that_is_put_off_without_progress_is_given_up_and_counts_as_failed(folder):
    desk = driver(folder, trial(folder, "a"), trial(folder, "b"), rate=0.4)
    for _ in range(STALLED):
        assert desk.agenda.told == []
        run(desk, "preempted", 75, steps=7)
    assert desk.agenda.told == [("a", "preempted")]
    run(desk, "done")
    assert (desk.failure_rate, desk.exit_code) == (0.5, 1)


def test_progress_long_ago_does_not_count(folder):
    desk = driver(folder, trial(folder, "a"))
    for steps in (3, *[6] * STALLED):
        assert desk.agenda.told == []
        run(desk, "preempted", 75, steps=steps)
    assert desk.agenda.told == [("a", "preempted")]


def test_equal_errors_in_a_row_end_the_sweep(folder):
    desk = driver(folder, *(trial(folder, key) for key in "abcde"), fail_fast_after=3, rate=1.0)
    for line in (1, 2, 3):
        run(desk, "failed", 1, f"Traceback\n  File x, line {line}\nValueError: no")
    assert keys(desk) == []
    assert not desk.open
    assert desk.exit_code == 1
    ((said,),) = desk.screen.of("said")
    assert "ValueError: no" in said
    assert "fail_fast_after=3" in said


@pytest.mark.parametrize(
    "ends",
    [
        [("failed", "A: 1"), ("failed", "A: 2"), ("failed", "A: 1")],
        [("failed", "A: 1"), ("done", None), ("failed", "A: 1")],
        [("failed", "A: 1"), ("nan", "A: 1"), ("failed", "A: 1")],
        [("failed", "A: 1"), ("failed", "A: 1"), ("done", None)],
    ],
)
def test_errors_that_differ_or_are_broken_by_another_end_do_not(ends, folder):
    desk = driver(folder, *(trial(folder, key) for key in "abcd"), fail_fast_after=3, rate=1.0)
    for status, error in ends:
        run(desk, status, int(status != "done"), error)
    assert keys(desk) == ["d"]
    assert desk.exit_code == 0


def test_what_crashes_after_errors_have_ended_the_sweep_is_no_interruption(folder):
    desk = driver(folder, *(trial(folder, key) for key in "abc"), fail_fast_after=1)
    running = desk.next()
    run(desk, "failed", 1, "no")
    end(running, "running")
    desk.ended(running, -11, False)
    assert desk.agenda.told == [("b", "failed"), ("a", "failed")]
    assert "SIGSEGV" in RunFolder(running.plan.folder).record().error


def test_without_a_limit_errors_never_end_the_sweep(folder):
    desk = driver(folder, *(trial(folder, str(n)) for n in range(9)), rate=1.0)
    for _ in range(8):
        run(desk, "failed", 1, "same")
    assert keys(desk) == ["8"]


@pytest.mark.parametrize(("rate", "code"), [(0.3, 0), (0.29, 1), (0.0, 1), (1.0, 0)])
def test_the_share_of_failures_decides_the_exit_code(rate, code, folder):
    desk = driver(folder, *(trial(folder, str(n)) for n in range(10)), rate=rate)
    for n in range(10):
        run(desk, "failed" if n in (2, 5, 9) else "done", 0, f"error {n}")
    assert desk.failure_rate == 0.3
    assert desk.exit_code == code


def test_a_sweep_of_nothing_has_not_failed(folder):
    assert (driver(folder).failure_rate, driver(folder).exit_code) == (0.0, 0)


def test_what_another_command_runs_is_waited_for_and_then_told(folder):
    here, there = driver(folder, trial(folder, "a"), trial(folder, "b")), driver(folder, trial(folder, "a"))
    one = there.next()
    assert keys(here) == ["b"]
    assert here.open
    assert keys(here) == []
    end(one, "done")
    there.ended(one, 0, False)
    assert keys(here) == []
    assert here.agenda.told == [("a", "done")]
    assert not here.open


def test_what_another_command_left_behind_is_taken_over(folder):
    here, there = driver(folder, trial(folder, "a")), driver(folder, trial(folder, "a"))
    end(there.next(), "running")
    assert keys(here) == []
    there.claims.give("a")
    assert keys(here) == ["a"]
    assert not here.open


@pytest.mark.parametrize("code", [75, 130, -2, -9, -15])
def test_a_stop_leaves_trials_to_the_next_command(code, folder):
    desk = driver(folder, trial(folder, "a"), trial(folder, "b"))
    one = desk.next()
    end(one, "preempted", steps=3)
    desk.stop()
    assert keys(desk) == []
    before = (one.plan.folder / "record.json").read_bytes()
    desk.ended(one, code, False)
    assert desk.agenda.told == []
    assert desk.screen.of("ended") == [["a", "interrupted"]]
    assert (one.plan.folder / "record.json").read_bytes() == before
    assert keys(driver(folder, one)) == ["a"]


@pytest.mark.parametrize("code", [75, -9])
def test_a_timeout_while_stopping_is_a_timeout(code, folder):
    desk = driver(folder, trial(folder, "a", trial=TRIAL | {"timeout": 1.5}))
    one = desk.next()
    desk.stop()
    end(one, "running")
    desk.ended(one, code, True)
    assert desk.agenda.told == [("a", "timeout")]


def test_what_ends_by_itself_while_stopping_is_told(folder):
    desk = driver(folder, *(trial(folder, key) for key in "ab"))
    one, two = desk.next(), desk.next()
    desk.stop()
    end(one, "done")
    desk.ended(one, 0, False)
    end(two, "oom")
    desk.ended(two, 1, False)
    assert desk.agenda.told == [("a", "done"), ("b", "oom")]
    assert keys(desk) == []


def test_rows_are_passed_on_and_validations_are_asked_about(folder):
    desk = driver(folder, trial(folder, "a"), prune=(20,))
    one = desk.next()
    assert desk.heard(one, 20, {"step": 20, "train/generator/loss": 1.0}) is False
    assert desk.heard(one, 10, {"step": 10, "validate/gan/loss": 3.0}) is False
    assert desk.heard(one, 20, {"step": 20, "validate/gan/loss": 2.0, "train/gan/x": 1.0}) is True
    assert desk.agenda.heard == [("a", 10, {"loss": 3.0}), ("a", 20, {"loss": 2.0})]
    assert [step for _, step in desk.screen.of("heard")] == [20, 10, 20]


def test_a_timeout_is_settled_as_one(folder):
    desk = driver(folder, trial(folder, "a", trial=TRIAL | {"timeout": 1.5}))
    run(desk, "preempted", 75, timed_out=True)
    assert desk.agenda.told == [("a", "timeout")]
    assert "1.5 s" in RunFolder(folder / "a").record().error


def test_the_screen_is_told_how_many_trials_there_will_be(folder):
    desk = driver(folder, trial(folder, "a"), trial(folder, "b"))
    run(desk, "done")
    assert desk.screen.of("expect") == [[2]]
