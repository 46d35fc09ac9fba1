"""Real commands, killed at random instants: what is left continues to the same end, and no process stays behind."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.test_resume import assert_equal, final, rows
from duogen.experiment.folder import RunFolder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

STEPS = 240
COMMAND = (
    "train data=ring generator=mlp discriminator=mlp data.train_size=2000 data.evaluation_size=200 data.batch_size=32 "
    f"budget.steps={STEPS} log_every=7 validate_every=5 checkpoint_every=3 scheduler=linear trainer=cpu logger=csv "
    "discriminator.dropout=0.3 discriminator.spectral_norm=true optimizers.generator.ema.decay=0.9 "
    "turns.discriminator.accumulate=3 turns.generator.accumulate=4"
).split()


def start(folder: Path, *more: str) -> subprocess.Popen:
    """The command as a user types it, in a process group of its own."""
    command = [sys.executable, "-m", "duogen", *COMMAND, f"run_dir={folder}", *more]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_until(condition, what: str, seconds: float = 120.0) -> None:
    """Polls a condition to a deadline, which is a failure: nothing is assumed to have happened by then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def group_is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return all(state(pid) == "Z" for pid in members(group))


def members(group: int) -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and field(int(p.name), 2) == str(group)]


def state(pid: int) -> str:
    return field(pid, 0)


def field(pid: int, index: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[index]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, and how long it trained."""
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    process = start(folder.path)
    wait_until(folder.rows.exists, "the first row file")
    begun = time.monotonic()
    assert process.wait(timeout=300) == 0, process.stderr.read()
    return folder, time.monotonic() - begun


DRAWN = random.Random(2026)
INSTANTS = [DRAWN.uniform(0.0, 1.0) for _ in range(10)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("share", INSTANTS, ids=lambda share: f"{share:.2f}")
def test_killed_at_a_random_instant_and_continued_it_ends_the_same(share, workers, whole, tmp_path):
    expected, training_s = whole
    folder = RunFolder(tmp_path / "run")
    process = start(folder.path, f"data.workers={workers}")
    wait_until(folder.rows.exists, "the first row file")
    time.sleep(share * training_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list(folder.checkpoints.glob("*.ckpt")) or folder.last.exists()
    again = start(folder.path, f"data.workers={workers}")
    assert again.wait(timeout=300) == 0, again.stderr.read()
    a, b = final(expected), final(folder)
    for content in (a, b):
        content["config"]["data"].pop("workers")
    assert_equal(a, b)
    assert rows(folder) == rows(expected)
    assert folder.record().metrics == expected.record().metrics


def start_ranks(folder: Path) -> subprocess.Popen:
    return start(folder, "trainer=ddp_cpu", "budget.steps=100000", "log_every=50", "validate_every=100000")


def rank_pids(parent: int) -> list[int]:
    """The ranks: processes that lead a group of their own below the command's forkserver."""
    servers = [
        int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and field(int(p.name), 1) == str(parent)
    ]
    everyone = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    return [pid for pid in everyone if field(pid, 1) in map(str, servers) and field(pid, 2) == str(pid)]


def begin_ranks(folder: RunFolder) -> tuple[subprocess.Popen, list[int]]:
    process = start_ranks(folder.path)
    wait_until(lambda: folder.rows.exists() and folder.rows.stat().st_size > 0, "the first row of two ranks")
    pids = rank_pids(process.pid)
    assert len(pids) == 2
    return process, pids


def test_a_killed_rank_takes_the_run_with_it(tmp_path):
    folder = RunFolder(tmp_path / "run")
    process, pids = begin_ranks(folder)
    os.kill(pids[1], signal.SIGKILL)
    assert process.wait(timeout=30) == 1
    wait_until(lambda: all(group_is_empty(pid) for pid in [*pids, process.pid]), "every process gone", 10)
    assert not folder.held()


def test_a_killed_parent_leaves_no_orphan(tmp_path):
    folder = RunFolder(tmp_path / "run")
    process, pids = begin_ranks(folder)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: all(group_is_empty(pid) for pid in [*pids, process.pid]), "every process gone", 10)
    assert not folder.held()


def test_a_terminated_run_of_two_ranks_saves_and_says_preempted(tmp_path):
    folder = RunFolder(tmp_path / "run")
    process, pids = begin_ranks(folder)
    process.terminate()
    assert process.wait(timeout=60) == 75
    record = folder.record()
    assert record.status == "preempted"
    assert record.checkpoints[-1]["step"] == record.steps > 0
    wait_until(lambda: all(group_is_empty(pid) for pid in [*pids, process.pid]), "every process gone", 10)
