import pytest

from duogen.sweep.cluster import requeue as module
from duogen.sweep.cluster import squeue
from duogen.sweep.cluster.requeue import own_job, requeue

JOB = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "12", "SLURM_PROCID": "0"}
PART = JOB | {"SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "3"}


class Left(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def calls(monkeypatch):
    """A job of its own, RUNNING, that Slurm takes back; what it is asked."""
    heard = []

    def leave():
        raise Left

    monkeypatch.setattr(module, "leave", leave)
    monkeypatch.setattr(module.os, "environ", dict(PART))
    monkeypatch.setattr(squeue, "state", lambda job: heard.append(("state", job)) or "RUNNING")
    monkeypatch.setattr(squeue, "requeue", lambda job: heard.append(("requeue", job)) or True)
    return heard


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "12"}, None),
        ({"SUBMITIT_EXECUTOR": "local", "SLURM_JOB_ID": "12"}, None),
        (JOB, "12"),
        (PART, "9_3"),
    ],
)
def test_only_a_job_that_was_submitted_for_the_trial_is_its_own(environ, job):
    assert own_job(environ) == job


@pytest.mark.parametrize("code", [0, 1, 2, 130, -9, 255])
def test_an_end_returns(calls, code):
    requeue(code)
    assert calls == []


def test_a_preempted_trial_puts_its_job_back_and_leaves(calls):
    with pytest.raises(Left):
        requeue(75)
    assert calls == [("state", "9_3"), ("requeue", "9_3")]


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PENDING", None])
def test_a_job_that_slurm_is_ending_is_left_to_slurm(calls, monkeypatch, state):
    monkeypatch.setattr(squeue, "state", lambda job: state)
    with pytest.raises(Left):
        requeue(75)
    assert calls == []


def test_where_slurm_takes_nothing_back_the_sweep_hears_of_it(calls, monkeypatch):
    monkeypatch.setattr(squeue, "requeue", lambda job: False)
    requeue(75)


def test_the_other_tasks_of_a_job_leave_it_to_the_first(calls, monkeypatch):
    monkeypatch.setattr(module.os, "environ", PART | {"SLURM_PROCID": "1"})
    with pytest.raises(Left):
        requeue(75)
    assert calls == []


def test_elsewhere_a_preempted_trial_returns(calls, monkeypatch):
    monkeypatch.setattr(module.os, "environ", {})
    requeue(75)
    assert calls == []
