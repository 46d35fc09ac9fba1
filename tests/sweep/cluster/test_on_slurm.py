"""Slurm's queue as an engine: what is submitted, by what name it is known, and what sbatch refuses."""

from types import SimpleNamespace

import pytest

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra slurm is not installed")

from submitit.core.utils import FailedJobError

from duogen.errors import UserError
from duogen.sweep.cluster.on_slurm import OnSlurm, Submitting, step_setup
from sweep.fakes import trial


class Queue:
    """Holds the jobs that it is told."""

    def __init__(self, *jobs):
        self.jobs, self.forgotten = jobs, 0

    def holds(self, job):
        return job in self.jobs

    def forget(self):
        self.forgotten += 1


class Executor:
    """Takes a map of calls, as submitit's does, or refuses it."""

    def __init__(self, error=None):
        self.error, self.calls = error, []

    def map_array(self, function, *columns):
        if self.error:
            raise FailedJobError(self.error)
        self.calls = list(zip(*columns, strict=True))
        return [SimpleNamespace(job_id=f"7_{number}") for number in range(len(self.calls))]


@pytest.fixture
def launcher(tmp_path):
    more = {"setup": ["a"], "additional_parameters": {"nice": 4}}
    return Submitting(submitit_folder=str(tmp_path / "%j"), max_num_timeout=3, cpus_per_task=2, timeout_min=5, **more)


def test_trials_are_submitted_as_one_array_and_known_by_its_names(launcher, monkeypatch, tmp_path):
    executor, queue = Executor(), Queue("7_1")
    monkeypatch.setattr(launcher, "executor", lambda: executor)
    engine = OnSlurm(launcher, queue)
    jobs = engine.send([trial(tmp_path, "a"), trial(tmp_path, "b", 1)], 4)
    assert [job.name for job in jobs] == ["7_0", "7_1"]
    assert queue.forgotten == 1
    assert [call[0][0].count(f"{name}.json") for call, name in zip(executor.calls, "ab", strict=True)] == [1, 1]
    assert [call[1:4] for call in executor.calls] == [
        ("hydra.sweep.dir", 4, "job_id_for_4"),
        ("hydra.sweep.dir", 5, "job_id_for_5"),
    ]
    assert [job.over() for job in jobs] == [True, False]
    assert jobs[1].output() == tmp_path / "7_1" / "7_1_0_log.err"
    assert engine.found("7_0") is None
    assert engine.found("7_1").name == "7_1"


def test_what_sbatch_refuses_is_told_in_its_words(launcher, monkeypatch):
    monkeypatch.setattr(launcher, "executor", lambda: Executor("Command failed\nsbatch: error: invalid partition"))
    with pytest.raises(UserError, match="sbatch refuses: sbatch: error: invalid partition"):
        launcher.submit([["x=1"]], 0)


def test_jobs_are_asked_for_with_the_settings_of_the_launcher(launcher, monkeypatch):
    given = {}
    monkeypatch.setattr("submitit.AutoExecutor", lambda folder, cluster, **more: SimpleNamespace(
        update_parameters=lambda **settings: given.update(settings, folder=folder, cluster=cluster, more=more)
    ))  # fmt: skip
    launcher.executor()
    assert (given["folder"], given["cluster"]) == (launcher.params["submitit_folder"], "slurm")
    assert given["more"] == {"slurm_max_num_timeout": 3}
    assert (given["timeout_min"], given["cpus_per_task"]) == (5, 2)
    assert given["slurm_setup"] == ["a", "export SRUN_CPUS_PER_TASK=2"]
    assert given["slurm_additional_parameters"] == {"requeue": True, "nice": 4}


def test_a_cancelled_job_is_named_to_slurm(launcher, monkeypatch):
    told = []
    monkeypatch.setattr("duogen.sweep.cluster.squeue.cancel", told.append)
    OnSlurm(launcher, Queue()).cancel([SimpleNamespace(name="3_1"), SimpleNamespace(name=None)])
    assert told == [["3_1"]]


@pytest.mark.parametrize(("cpus", "lines"), [(None, []), (3, ["export SRUN_CPUS_PER_TASK=3"])])
def test_a_step_has_the_cores_of_its_job(cpus, lines):
    assert step_setup(cpus) == lines
