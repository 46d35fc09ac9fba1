"""What a cluster's job does with a trial's file: it never raises, and always leaves its last word."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from contracts.cases import ALLOW, found
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Trial
from duogen.sweep.cluster import job
from duogen.sweep.cluster.asking import ASKED
from duogen.sweep.cluster.notes import End, Notes
from duogen.sweep.plan import write

GAN = next(case for case in found() if case.name == "gan")


@pytest.fixture
def one(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    config = GAN.config("budget.steps=2", "log_every=1")
    trial = Trial(Plan(config, tmp_path / "a", allow=ALLOW), tmp_path / "trials" / "a.json", {}, 0)
    trial.file.parent.mkdir()
    write(trial)
    return trial


def said(trial):
    returned = job.task({ASKED: str(trial.file)})
    end = Notes(trial.file).end()
    assert returned == {"key": "a", "code": end.code, "timed_out": end.timed_out}
    return end


def test_a_job_runs_its_trial_and_says_so(one):
    assert said(one) == End(0, False)
    assert RunFolder(one.plan.folder).record().status == "done"
    assert "step 2/2" in one.file.with_suffix(".log").read_text()


@pytest.mark.parametrize(("code", "timed_out", "status"), [(-9, False, "failed"), (75, True, "timeout")])
def test_a_job_completes_the_record_of_a_trial_that_could_not(code, timed_out, status, one, monkeypatch):
    def run(crew):
        crew.timed_out = timed_out
        return code

    one.plan.config["trial"]["timeout"] = 5
    write(one)
    monkeypatch.setattr(job, "run", run)
    monkeypatch.setattr(job, "requeue", lambda code: None)
    assert said(one) == End(code, timed_out)
    assert RunFolder(one.plan.folder).record().status == status


def test_a_job_without_a_file_says_that_it_failed(one, capsys):
    one.file.write_text("{")
    assert said(one) == End(1, False)
    assert "a trial's file" in capsys.readouterr().out


def test_a_job_that_goes_back_into_the_queue_has_no_last_word(one, monkeypatch):
    class Left(BaseException):
        pass

    def requeue(code):
        assert code == 75
        raise Left

    monkeypatch.setattr(job, "run", lambda crew: 75)
    monkeypatch.setattr(job, "requeue", requeue)
    with pytest.raises(Left):
        job.task({ASKED: str(one.file)})
    assert Notes(one.file).end() is None


@pytest.mark.parametrize(("code", "timed_out", "asked"), [(75, False, [75]), (0, False, [0]), (75, True, [])])
def test_a_job_whose_time_is_up_does_not_go_back_into_the_queue(code, timed_out, asked, one, monkeypatch):
    codes = []
    monkeypatch.setattr(job, "supervised", lambda file, placed: (code, timed_out))
    monkeypatch.setattr(job, "requeue", codes.append)
    assert said(one) == End(code, timed_out)
    assert codes == asked


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_ranks_that_slurm_has_started_the_first_keeps_time_log_and_record(rank, one, monkeypatch):
    placed = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NODEID": "0",
              "SLURM_JOB_NODELIST": "vm", "SLURM_JOB_ID": "3", "SLURM_CPUS_PER_TASK": "5"}  # fmt: skip
    for name, value in placed.items():
        monkeypatch.setenv(name, value)
    made = []

    def crew(work, shares, environment, threads, log=None, timeout=None, grace=30.0):
        made.append((shares, environment["RANK"], environment["WORLD_SIZE"], threads, log, timeout))
        return SimpleNamespace(timed_out=False)

    one.plan.config["trial"]["timeout"] = 7
    write(one)
    monkeypatch.setattr(job, "Crew", crew)
    monkeypatch.setattr(job, "run", lambda crew: -9)
    assert job.task({ASKED: str(one.file)}) == {"key": "a", "code": -9, "timed_out": False}
    kept = (one.file.with_suffix(".log"), 7) if rank == "0" else (None, None)
    assert made == [([(str(one.file),)], rank, "2", 5, *kept)]
    assert Notes(one.file).end() == (End(-9, False) if rank == "0" else None)
    record = RunFolder(one.plan.folder).record()
    assert (record and record.status) == ("failed" if rank == "0" else None)


def test_a_supervisor_imports_next_to_nothing():
    script = "import sys, duogen.sweep.cluster.job, duogen.sweep.cluster.on_slurm; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
