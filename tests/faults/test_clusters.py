"""Real Slurm and real Ray: six trials of one sweep, of which one fails and one is preempted and continues."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from duogen.experiment.folder import RunFolder
from duogen.sweep.notes import Notes
from faults.test_kill import field, group_is_empty, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

STEPS, HELD = 60, 20
RATES = ("0.001", "0.002", "0.003", "0.004", "0.005", "9.0")
FAULTY = f"""
import time
from pathlib import Path
import torch

class Touchy(torch.optim.Adam):
    '''Counts its steps in a file; raises at a rate of 9, and at a rate of 0.001 waits at step {HELD} for a word.'''

    def step(self, closure=None):
        rate, here = self.defaults["lr"], Path({{here!r}})
        if rate == 9.0:
            raise RuntimeError("planted")
        with (here / f"steps-{{rate}}").open("a") as file:
            file.write("x")
        if rate == 0.001 and (here / "steps-0.001").stat().st_size >= {HELD}:
            while not (here / "go").exists():
                time.sleep(0.01)
        return super().step(closure)
"""


def begin(folder, launcher, *more: str) -> subprocess.Popen:
    """A sweep over the rate of an optimizer, in a folder whose name needs quoting."""
    (folder / "faulty.py").write_text(FAULTY.replace("{here!r}", repr(str(folder))))
    command = (
        "train -m --allow faulty. data=ring generator=mlp discriminator=mlp data.train_size=500 "
        "data.evaluation_size=100 data.batch_size=16 logger=none trainer=cpu log_every=5 validate_every=20 "
        f"checkpoint_every=20 budget.steps={STEPS} turns=alternate trial.attempts=1 hydra.sweeper.max_failure_rate=0.2 "
        f"optimizer._target_=faulty.Touchy optimizer.lr={','.join(RATES)} "
        f"hydra/launcher={launcher}"
    ).split()
    where = f"hydra.sweep.dir='{folder}/a sweep'"
    environment = os.environ | {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(
        [sys.executable, "-m", "duogen", *command, *more, where], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def held(folder, process) -> bool:
    """Whether the slow trial waits for a word."""
    assert process.poll() is None, process.communicate()[0]
    counted = folder / "steps-0.001"
    return counted.exists() and counted.stat().st_size >= HELD


def trials(folder) -> dict[str, RunFolder]:
    """The run folders of a sweep, by the rate in their config."""
    runs = [RunFolder(path.parent) for path in (folder / "a sweep").glob("*/config.yaml")]
    return {str(run.config()["optimizer"]["lr"]): run for run in runs}


def assert_as_planned(folder, process) -> None:
    """Five are done with each of their steps done once, one has failed, and nobody is left."""
    printed = process.communicate(timeout=400)[0]
    assert process.returncode == 0, printed
    found = trials(folder)
    assert sorted(found) == sorted(RATES), printed
    assert {rate: found[rate].record().status for rate in RATES} == dict.fromkeys(RATES, "done") | {"9.0": "failed"}
    assert "planted" in found["9.0"].record().error
    for rate in RATES[:-1]:
        assert found[rate].record().steps == STEPS
        assert (folder / f"steps-{rate}").stat().st_size == 2 * STEPS, "a step was lost or done twice"
    assert {path.name for path in (folder / "a sweep").iterdir() if len(path.name) == 16} == {
        run.path.name for run in found.values()
    }
    assert group_is_empty(process.pid)


def assert_one_lost(folder, process) -> None:
    """The slow trial has failed as a killed one, the others have ended as planned, and no process is left of it."""
    printed = process.communicate(timeout=400)[0]
    assert process.returncode == 1, printed  # two of six have failed
    found = trials(folder)
    assert found["0.001"].record().status == "failed"
    assert "SIGKILL" in found["0.001"].record().error
    assert not found["0.001"].held()
    assert [found[rate].record().status for rate in RATES[1:]] == ["done"] * 4 + ["failed"]
    assert group_is_empty(process.pid)


def notes(run: RunFolder) -> Notes:
    return Notes(run.path.parent / "trials" / f"{run.path.name}.json")


@pytest.fixture
def slurm(monkeypatch):
    """A Slurm that takes jobs."""
    if shutil.which("sinfo") is None:
        pytest.skip("Slurm is not installed")
    if subprocess.run(["sinfo", "--noheader"], capture_output=True, check=False).returncode != 0:
        pytest.skip("Slurm is installed but does not answer; SLURM_CONF names its configuration")


def state(job: str) -> str:
    listed = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    return subprocess.run(listed, capture_output=True, text=True, check=False).stdout.strip()


def tell(job: str, number: str) -> None:
    """Signals a job by the number that it has for itself: of an array's name scancel says it cannot, and repeats it."""
    own = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%A"], capture_output=True, text=True)
    subprocess.run(["scancel", f"--signal={number}", own.stdout.strip()], check=True)


def hasten(job: str) -> bool:
    """Slurm lets a requeued job wait for two minutes; whether it now need not."""
    command = ["scontrol", "update", f"jobid={job}", "starttime=now"]
    return state(job) == "PENDING" and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("number", ["TERM", "USR1", "USR2"])
def test_on_slurm_a_job_that_is_told_to_go_requeues_itself_and_continues(slurm, tmp_path, number):
    process = begin(tmp_path, "slurm", "hydra.launcher.grace_s=5")
    try:
        wait_until(lambda: held(tmp_path, process), "a trial that waits", 200)
        job = notes(trials(tmp_path)["0.001"]).job()
        tell(job, number)
        (tmp_path / "go").touch()
        wait_until(lambda: hasten(job), "the job is in the queue again", 100)
        assert trials(tmp_path)["0.001"].record().status == "preempted"
        assert_as_planned(tmp_path, process)
    finally:
        end(process)


def test_on_slurm_a_job_that_is_killed_loses_its_trial_alone(slurm, tmp_path):
    process = begin(tmp_path, "slurm", "hydra.launcher.grace_s=1")
    try:
        wait_until(lambda: held(tmp_path, process), "a trial that waits", 200)
        tell(notes(trials(tmp_path)["0.001"]).job(), "KILL")
        assert_one_lost(tmp_path, process)
    finally:
        end(process)


def test_on_slurm_what_was_submitted_detached_is_waited_for_by_the_same_command(slurm, tmp_path):
    process = begin(tmp_path, "slurm", "--detach")
    printed = process.communicate(timeout=200)[0]
    assert process.returncode == 0, printed
    assert f"{len(RATES)} trials are in the queue." in printed
    (tmp_path / "go").touch()
    submitted = {path: path.read_text() for path in (tmp_path / "a sweep" / "trials").glob("*.job")}
    assert len(submitted) == len(RATES)
    process = begin(tmp_path, "slurm")
    try:
        assert_as_planned(tmp_path, process)
    finally:
        end(process)
    assert {path: path.read_text() for path in submitted} == submitted, "a trial was submitted twice"


def end(process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


@pytest.fixture
def ray():
    pytest.importorskip("ray", reason="Ray is not installed")


def test_on_ray_a_trial_that_is_told_to_go_comes_back_and_continues(ray, tmp_path):
    process = begin(tmp_path, "ray", "hydra.launcher.ray.init.num_cpus=2")
    try:
        wait_until(lambda: held(tmp_path, process), "a trial that waits", 200)
        os.kill(int((trials(tmp_path)["0.001"].path / "lock").read_text()), signal.SIGTERM)
        (tmp_path / "go").touch()
        assert_as_planned(tmp_path, process)
    finally:
        end(process)


def test_on_ray_a_worker_that_is_killed_loses_its_trial_alone_and_leaves_no_process(ray, tmp_path):
    process = begin(tmp_path, "ray", "hydra.launcher.ray.init.num_cpus=2", "hydra.launcher.grace_s=1")
    try:
        wait_until(lambda: held(tmp_path, process), "a trial that waits", 200)
        rank = int((trials(tmp_path)["0.001"].path / "lock").read_text())
        worker = int(field(int(field(rank, 1)), 1))  # a rank is a child of the template, which is a child of the worker
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: group_is_empty(rank), "the rank of a dead worker is gone")
        assert_one_lost(tmp_path, process)
    finally:
        end(process)
