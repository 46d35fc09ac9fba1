"""Real Slurm and real Ray: trials that are told to go, killed or fail, ranks that srun starts, code that is edited."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from duogen.experiment.folder import RunFolder
from duogen.sweep.cluster.notes import Notes
from faults.test_kill import field, group_is_empty, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

STEPS, HELD = 60, 20
FAILING = "9.0"
WAITING = {"0.001": "TERM", "0.002": "USR1", "0.003": "USR2", "0.004": "KILL"}
FAULTY = f"""
import os
import time
from pathlib import Path

import torch

import duogen

VERSION = 1
FOLDER = Path(__file__).parent

class Touchy(torch.optim.Adam):
    '''Counts its steps in a file; raises at a rate of 9, and at a rate below 0.005 waits at step {HELD} for a word.'''

    def step(self, closure=None):
        rate, here = self.defaults["lr"], Path(os.environ["FAULT_NOTES"])
        if rate == {FAILING}:
            raise RuntimeError("planted")
        counted = here / f"steps-{{rate}}-{{os.environ.get('RANK', '0')}}"
        with counted.open("a") as file:
            file.write("x")
        (here / f"whence-{{rate}}").write_text(f"{{VERSION}}\\n{{__file__}}\\n{{duogen.__file__}}")
        while rate < 0.005 and counted.stat().st_size >= {HELD} and not (here / f"go-{{rate}}").exists():
            time.sleep(0.01)
        return super().step(closure)
"""
RUN = (
    "--allow faulty. data=ring generator=mlp discriminator=mlp data.train_size=500 data.evaluation_size=100 "
    "data.batch_size=16 logger=none trainer=cpu log_every=5 validate_every=20 checkpoint_every=20 "
    f"budget.steps={STEPS} turns=alternate optimizer._target_=faulty.Touchy"
).split()
SWEEP = ("trial.attempts=1", "hydra.sweeper.max_failure_rate=0.2")
TWO = ("trainer=slurm_ddp", "trainer.accelerator=cpu", "trainer.nodes=1", "trainer.devices=2")


def begin(folder: Path, rates, *more: str) -> subprocess.Popen:
    """A sweep over the rate of an optimizer, in a folder whose name needs quoting."""
    where = f"hydra.sweep.dir='{folder}/a sweep'"
    return start(folder, "train", "-m", *RUN, *SWEEP, f"optimizer.lr={','.join(rates)}", *more, where)


def start(folder: Path, *command: str, before=()) -> subprocess.Popen:
    if not (folder / "faulty.py").exists():
        (folder / "faulty.py").write_text(FAULTY)
    return subprocess.Popen(
        [*before, sys.executable, "-m", "duogen", *command], cwd=folder,
        env=os.environ | {"FAULT_NOTES": str(folder)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def counted(folder: Path, rate: str, rank: int = 0) -> int:
    """The steps that a trial's optimizers have done."""
    file = folder / f"steps-{rate}-{rank}"
    return file.stat().st_size if file.exists() else 0


def held(folder: Path, rate: str, process) -> bool:
    """Whether the trial waits for a word."""
    assert process.poll() is None, process.communicate()[0]
    return counted(folder, rate) >= HELD


def trials(folder: Path) -> dict[str, RunFolder]:
    """The run folders of a sweep, by the rate in their config."""
    runs = [RunFolder(path.parent) for path in (folder / "a sweep").glob("*/config.yaml")]
    return {str(run.config()["optimizer"]["lr"]): run for run in runs}


def notes(run: RunFolder) -> Notes:
    return Notes(run.path.parent / "trials" / f"{run.path.name}.json")


def ended(process) -> tuple[int, str]:
    """The exit code and what was printed, of a command that leaves no process."""
    printed = process.communicate(timeout=400)[0]
    wait_until(lambda: group_is_empty(process.pid), "no process of the command is left")
    return process.returncode, printed


def assert_done(folder: Path, rate: str, ranks: int = 1) -> None:
    """The trial is done, and each of its steps was done once, on each rank."""
    record = trials(folder)[rate].record()
    assert (record.status, record.steps) == ("done", STEPS)
    assert [counted(folder, rate, rank) for rank in range(ranks)] == [2 * STEPS] * ranks, "a step was lost or repeated"


def assert_as_planned(folder: Path, rates) -> None:
    """The killed trial and the failing one have failed, the others are done, and there is no other run folder."""
    found = trials(folder)
    assert sorted(found) == sorted(rates)
    killed = next(rate for rate, number in WAITING.items() if number == "KILL")
    for rate in rates:
        if rate == FAILING:
            assert found[rate].record().status == "failed"
            assert "planted" in found[rate].record().error
        elif rate == killed:
            assert found[rate].record().status == "failed"
            assert "SIGKILL" in found[rate].record().error
            assert not found[rate].held()
        else:
            assert_done(folder, rate)
    keys = {path.name for path in (folder / "a sweep").iterdir() if len(path.name) == 16}
    assert keys == {run.path.name for run in found.values()}


def assert_copied(folder: Path, rates) -> None:
    """The trials have run the code of the time of their submission, from the sweep's own copy."""
    (copy,) = {path for path in (folder / "a sweep" / "code").iterdir() if (path / "faulty.py").read_text() == FAULTY}
    expected = f"1\n{copy}/faulty.py\n{copy}/duogen/__init__.py"
    assert {(folder / f"whence-{rate}").read_text() for rate in rates} == {expected}


def edit(folder: Path) -> None:
    (folder / "faulty.py").write_text(FAULTY.replace("VERSION = 1", "VERSION = 2"))


@pytest.fixture
def slurm():
    """A Slurm that takes jobs."""
    if shutil.which("sinfo") is None:
        pytest.skip("Slurm is not installed")
    if subprocess.run(["sinfo", "--noheader"], capture_output=True, check=False).returncode != 0:
        pytest.skip("Slurm is installed but does not answer; SLURM_CONF names its configuration")


def state(job: str) -> str:
    listed = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    return subprocess.run(listed, capture_output=True, text=True, check=False).stdout.strip()


def tell(job: str, number: str) -> None:
    """Signals what the job runs, as Slurm does before a time limit; the job itself, in an array, it signals again."""
    own = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%A"], capture_output=True, text=True)
    subprocess.run(["scancel", f"--signal={number}", f"{own.stdout.strip()}.0"], check=True)


def hasten(job: str) -> bool:
    """Slurm lets a requeued job wait for two minutes; whether it now need not."""
    command = ["scontrol", "update", f"jobid={job}", "starttime=now"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def send_away(folder: Path, rate: str, number: str, process) -> None:
    """Tells the trial's job to go when the trial waits; one that may save comes back at once."""
    wait_until(lambda: held(folder, rate, process), f"{rate} waits", 200)
    run = trials(folder)[rate]
    job = notes(run).job()
    tell(job, number)
    (folder / f"go-{rate}").touch()
    if number != "KILL":
        wait_until(lambda: state(job) == "PENDING", "the job is in the queue again", 100)
        assert run.record().status == "preempted"
        wait_until(lambda: hasten(job), "it need not wait")


def end(process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


def test_on_slurm_a_job_that_is_told_to_go_comes_back_and_one_that_is_killed_is_lost_alone(slurm, tmp_path):
    rates = [*WAITING, "0.005", FAILING]
    process = begin(tmp_path, rates, "hydra/launcher=slurm", "hydra.launcher.grace_s=1")
    try:
        for rate, number in WAITING.items():
            send_away(tmp_path, rate, number, process)
        code, printed = ended(process)
    finally:
        end(process)
    assert_as_planned(tmp_path, rates)
    assert code == 1, printed  # two of six have failed


def test_on_slurm_what_was_submitted_detached_runs_its_own_code_and_is_waited_for_by_the_same_command(slurm, tmp_path):
    rates = ["0.006", "0.007"]
    command = ["hydra/launcher=slurm", "hydra.sweeper.snapshot=true"]
    code, printed = ended(begin(tmp_path, rates, *command, "--detach"))
    edit(tmp_path)
    assert code == 0, printed
    assert "2 trials are in the queue." in printed
    assert "status" not in printed.replace("duogen sweep status", ""), "there is no table of what has not run"
    submitted = {path: path.read_text() for path in (tmp_path / "a sweep" / "trials").glob("*.job")}
    assert len(submitted) == len(rates)
    process = begin(tmp_path, rates, *command)
    try:
        code, printed = ended(process)
    finally:
        end(process)
    assert code == 0, printed
    for rate in rates:
        assert_done(tmp_path, rate)
    assert_copied(tmp_path, rates)
    assert {path: path.read_text() for path in submitted} == submitted, "a trial was submitted twice"


def test_on_slurm_a_trial_of_two_ranks_is_one_job_that_comes_back_whole(slurm, tmp_path):
    (rate,) = rates = ["0.001"]
    process = begin(tmp_path, rates, *TWO, "hydra/launcher=slurm")
    try:
        send_away(tmp_path, rate, "TERM", process)
        code, printed = ended(process)
    finally:
        end(process)
    assert code == 0, printed
    assert_done(tmp_path, rate, ranks=2)
    assert_as_planned(tmp_path, rates)
    assert [path.name for path in (tmp_path / "a sweep" / "trials").glob("*.end")] == [
        f"{trials(tmp_path)[rate].path.name}.end"
    ]


def test_srun_starts_the_ranks_of_one_run(slurm, tmp_path):
    rate = "0.006"
    command = ["train", *RUN, *TWO, f"optimizer.lr={rate}", f"run_dir={tmp_path}/run"]
    code, printed = ended(start(tmp_path, *command, before=["srun", "--ntasks=2"]))
    assert code == 0, printed
    assert json.loads((tmp_path / "run" / "record.json").read_text())["status"] == "done"
    assert [counted(tmp_path, rate, rank) for rank in range(2)] == [2 * STEPS] * 2
    assert printed.count(f"{tmp_path}/run\n") == 1, "the first rank alone speaks"


@pytest.fixture
def ray():
    pytest.importorskip("ray", reason="Ray is not installed")


def test_on_ray_a_trial_that_is_told_to_go_comes_back_and_a_killed_worker_loses_its_own_alone(ray, tmp_path):
    rates = ["0.001", "0.004", "0.005", "0.006", "0.007", FAILING]
    process = begin(
        tmp_path, rates, "hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2", "hydra.launcher.grace_s=1",
        "hydra.sweeper.snapshot=true",
    )  # fmt: skip
    try:
        for rate in ("0.001", "0.004"):
            wait_until(lambda rate=rate: held(tmp_path, rate, process), f"{rate} waits", 200)
        edit(tmp_path)
        os.kill(int((trials(tmp_path)["0.001"].path / "lock").read_text()), signal.SIGTERM)
        (tmp_path / "go-0.001").touch()
        rank = int((trials(tmp_path)["0.004"].path / "lock").read_text())
        worker = int(field(int(field(rank, 1)), 1))  # a rank is a child of the template, which is a child of the worker
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: group_is_empty(rank), "the rank of a dead worker is gone")
        code, printed = ended(process)
    finally:
        end(process)
    assert code == 1, printed  # two of six have failed
    assert_as_planned(tmp_path, rates)
    assert_copied(tmp_path, rates[:-1])
