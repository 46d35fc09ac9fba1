"""Real sweeps of thirty, twelve and fewer tiny trials that are killed, stopped and planted with faults."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.test_resume import assert_equal, final, rows
from duogen.experiment.folder import RunFolder
from duogen.sweep.shown import results
from faults.sweeps import HERE, Sweep, wait_for
from faults.sweeps import environment as environment
from faults.test_kill import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

WRONG = {"stubborn": "timeout", "raises": "failed", "diverges": "nan", "waits": "failed", "segfault": "failed",
         "oom": "oom"}  # fmt: skip


def test_thirty_trials_with_every_kind_of_fault(tmp_path):
    sweep = Sweep(tmp_path, "sweep=faults", "seed=0", "hydra.launcher.slots=[a,b,c]", "trial.attempts=1")
    process = sweep.start()
    wait_for(process, lambda: "waits/0" in sweep.starts, "the trial that is to be killed")
    os.kill(next(one.pid for one in sweep.begun if one.trial == "waits/0"), signal.SIGKILL)
    assert sweep.end(process) == 1
    assert len(sweep.noted("child")) == 1
    assert "resource_tracker" not in sweep.printed.read_text()
    sweep.assert_own_slots("a", "b", "c")
    trials = results.trials(sweep.folder)
    names = [one.setting["setting"] for one in trials]
    assert len(names) == 30
    assert {one.setting["setting"]: one.status for one in trials} == dict.fromkeys(names, "done") | WRONG
    assert sweep.starts == {f"{name}/0": 1 + (name == "oom") for name in names}
    errors = {one.setting["setting"]: one.error for one in trials if one.error}
    assert errors["raises"] == "RuntimeError: planted"
    assert errors["segfault"] == "killed by SIGSEGV"
    assert errors["waits"].startswith("killed by SIGKILL")
    assert errors["stubborn"] == "stopped after 10 s (trial.timeout)"
    assert list(errors) == [name for name in names if name in WRONG]
    assert table(sweep.folder) == [(one.setting["setting"], one.status) for one in trials]
    begun = sweep.begun
    assert sweep.run("hydra.sweeper.max_failure_rate=0.5") == 0
    assert sweep.begun == begun


def table(folder: Path) -> list[tuple[str, str]]:
    """Setting and status of every trial, as the command prints them."""
    command = [sys.executable, "-m", "duogen", "sweep", "status", str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    words = [line.split() for line in lines[lines.index(next(line for line in lines if line.startswith("trials"))) :]]
    return [(line[0], line[2]) for line in words if len(line) > 2 and line[1] == "0"][:30]


GRID = ("generator.fault=ok0,ok1", "seed=range(10)", "hydra.launcher.slots=[a,b]", "validate_every=6")
TWENTY = {f"ok{fault}/{seed}": 1 for fault in range(2) for seed in range(10)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted sweep."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"), *GRID)
    assert sweep.run() == 0, sweep.printed.read_text()
    assert sweep.starts == TWENTY
    return sweep


DRAWN = random.Random(2026)
INSTANTS = [[(DRAWN.randrange(2), DRAWN.uniform(0.0, 1.0)) for _ in range(5)] for _ in range(2)]


@pytest.mark.parametrize("instants", INSTANTS, ids=["five", "five-more"])
def test_killed_again_and_again_and_continued_it_ends_the_same(instants, whole, tmp_path):
    sweep = Sweep(tmp_path, *GRID)
    trial_s = sum(record.wall_s for record in whole.records.values()) / len(TWENTY)
    killed = [kill(sweep, count, share * trial_s) for count, share in instants]
    assert sum(killed) >= 3, "a machine so uneven leaves nothing to kill"
    left = {trial: 1 for trial in TWENTY if sweep.statuses.get(trial) != "done"}
    before = sweep.starts
    assert sweep.run() == 0
    assert {trial: sweep.starts[trial] - before.get(trial, 0) for trial in left} == left
    assert_same(whole, sweep)


def kill(sweep: Sweep, count: int, after_s: float) -> bool:
    """Kills the command some time after it has begun `count` trials; what was done then is not begun by it.

    False where it had ended by then.
    """
    done = {trial for trial, status in sweep.statuses.items() if status == "done"}
    begun = len(sweep.begun)
    process = sweep.start()

    def ready() -> bool:
        return bool(sweep.printed.stat().st_size) and len(sweep.begun) >= begun + count

    wait_until(lambda: ready() or process.poll() is not None, f"{count} trials begun")
    time.sleep(after_s)
    process.kill()
    code = sweep.end(process)
    assert code in (-signal.SIGKILL, 0)
    assert done.isdisjoint(one.trial for one in sweep.begun[begun:])
    return code != 0


def assert_same(expected: Sweep, found: Sweep) -> None:
    """Both ended with the same table, rows and weights, bit for bit."""
    assert results.lines(found.folder) == results.lines(expected.folder)
    assert [one.key for one in results.trials(found.folder)] == [one.key for one in results.trials(expected.folder)]
    assert found.runs.keys() == expected.runs.keys()
    for trial, run in expected.runs.items():
        assert_equal(final(run), final(found.runs[trial]), trial)
        assert rows(found.runs[trial]) == rows(run)
    found.assert_own_slots("a", "b")


def test_two_terminals_share_a_sweep(tmp_path):
    sweep = Sweep(tmp_path, "generator.fault=waits0,waits1", "seed=range(3)", "hydra.launcher.slots=[a]")
    first = sweep.start()
    printed = [sweep.printed]
    second = sweep.start()
    printed.append(sweep.printed)
    wait_for(second, lambda: all("started" in file.read_text() for file in printed), "both at work")
    sweep.go()
    assert [sweep.end(first), second.wait(timeout=300)] == [0, 0]
    assert sweep.starts == {f"waits{fault}/{seed}": 1 for fault in range(2) for seed in range(3)}
    for file in printed:
        assert "6 trials, 6 done" in file.read_text()


def test_trials_of_two_ranks_take_two_slots_together(tmp_path):
    sweep = Sweep(tmp_path, "trainer=ddp_cpu", "generator.fault=ok0,ok1", "seed=0", "hydra.launcher.slots=[a,b]")
    assert sweep.run() == 0, sweep.printed.read_text()
    assert sorted((one.trial, one.slots, one.rank) for one in sweep.begun) == [
        (f"ok{fault}/0", "a,b", str(rank)) for fault in range(2) for rank in range(2)
    ]
    sweep.assert_own_slots("a", "b")
    assert len([path for path in sweep.folder.iterdir() if path.is_dir() and path.name != "trials"]) == 2
    for run in sweep.runs.values():
        assert [row["step"] for row in rows(run)] == [4, 8, 12]
        assert {value.split for value in run.record().metrics} == {"test"}


SLOW = ("generator.fault=slow0,slow1", "seed=0", "hydra.launcher.slots=[a,b]", "budget.steps=60", "log_every=1")


def begin_slow(sweep: Sweep) -> subprocess.Popen[bytes]:
    """Begins two slow trials; both have steps behind them, and most before them."""
    process = sweep.start()
    wait_for(
        process, lambda: len(sweep.runs) == 2 and all(run.rows.exists() for run in sweep.runs.values()), "two row files"
    )
    wait_for(process, lambda: all(len(rows_so_far(run)) >= 3 for run in sweep.runs.values()), "three rows in each")
    return process


def rows_so_far(run: RunFolder) -> list[bytes]:
    return run.rows.read_bytes().splitlines()


def assert_continued(run: RunFolder, before: list[bytes]) -> None:
    """Its first rows, with their times, are those of the process that was stopped."""
    assert run.record().status == "done"
    assert len(before) < 60
    assert rows_so_far(run)[: len(before)] == before
    assert [row["step"] for row in rows(run)] == list(range(1, 61))


@pytest.mark.parametrize(
    ("number", "code", "status"), [(signal.SIGTERM, 75, "preempted"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_stopped_sweep_saves_and_goes_on_where_it_was(number, code, status, tmp_path):
    sweep = Sweep(tmp_path, *SLOW)
    process = begin_slow(sweep)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    assert sweep.end(process) == code
    assert set(sweep.statuses.values()) == {status}
    for record in sweep.records.values():
        assert record.checkpoints[-1]["step"] == record.steps > 0
    before = {trial: rows_so_far(run) for trial, run in sweep.runs.items()}
    sweep.go()
    assert sweep.run() == 0
    assert sweep.starts == {"slow0/0": 2, "slow1/0": 2}
    for trial, run in sweep.runs.items():
        assert_continued(run, before[trial])


def test_a_preempted_trial_comes_back_by_itself(tmp_path):
    sweep = Sweep(tmp_path, *SLOW)
    process = begin_slow(sweep)
    before = rows_so_far(sweep.runs["slow1/0"])
    os.kill(next(one.pid for one in sweep.begun if one.trial == "slow1/0"), signal.SIGTERM)
    wait_for(process, lambda: sweep.starts["slow1/0"] == 2, "the trial again")
    sweep.go()
    assert sweep.end(process) == 0
    assert sweep.starts == {"slow0/0": 1, "slow1/0": 2}
    assert_continued(sweep.runs["slow1/0"], before)
    sweep.assert_own_slots("a", "b")


def test_a_broken_sweep_ends_early(tmp_path):
    faults = ",".join(f"raises{number}" for number in range(6))
    sweep = Sweep(tmp_path, f"generator.fault={faults}", "seed=0", "hydra.launcher.slots=[a]")
    assert sweep.run("hydra.sweeper.fail_fast_after=2", "hydra.sweeper.max_failure_rate=1.0") == 1
    assert sweep.starts == {"raises0/0": 1, "raises1/0": 1}
    assert "2 trials failed in a row with the same error: RuntimeError: planted" in sweep.printed.read_text()


def test_a_failed_trial_is_begun_as_often_as_it_may_and_afresh_when_asked(tmp_path):
    sweep = Sweep(tmp_path, "generator.fault=ok0,raises0", "seed=0", "hydra.launcher.slots=[a]", "trial.attempts=2")
    assert [sweep.run() for _ in range(3)] == [1, 1, 1]
    assert sweep.starts == {"ok0/0": 1, "raises0/0": 2}
    assert sweep.records["raises0/0"].failures == 2
    assert sweep.run("fresh=true") == 1
    assert sweep.starts == {"ok0/0": 2, "raises0/0": 3}
    assert sweep.records["raises0/0"].failures == 1


def test_an_edit_does_not_reach_a_sweep_that_runs(tmp_path):
    source = tmp_path / "edited.py"
    shutil.copy(HERE / "faulty.py", source)
    sweep = Sweep(
        tmp_path, "generator._target_=edited.Faulty", "generator.fault=waits0,ok0,ok1", "seed=0",
        "hydra.launcher.slots=[a]", home=tmp_path, allow="edited.",
    )  # fmt: skip
    process = sweep.start()
    wait_for(process, lambda: sweep.starts, "the first trial")
    source.write_text("raise RuntimeError('edited')")
    sweep.go()
    assert sweep.end(process) == 0, sweep.printed.read_text()
    assert sweep.starts == {"ok0/0": 1, "ok1/0": 1, "waits0/0": 1}
