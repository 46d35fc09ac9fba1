import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.sweep.cluster.asking import asking
from duogen.sweep.cluster.threaded import Threaded


class Gate:
    """A launcher that waits for a word, then ends as told."""

    def __init__(self, error=None):
        self.error, self.word, self.launched = error, threading.Event(), []

    def launch(self, job_overrides, initial_job_idx):
        self.launched.append((job_overrides, initial_job_idx))
        self.word.wait(60)
        if self.error:
            raise self.error
        return []


@pytest.fixture
def trials(tmp_path):
    return [SimpleNamespace(file=Path(f"/s/trials/{key}.json"), plan=SimpleNamespace(folder=tmp_path / key))
            for key in "ab"]  # fmt: skip


def test_the_launcher_gets_the_batch_and_its_jobs_are_over_when_it_is_back(trials):
    launcher = Gate()
    jobs = Threaded(launcher).send(trials, 4)
    assert [job.over() for job in jobs] == [False, False]
    launcher.word.set()
    jobs[0].batch.join(60)
    assert launcher.launched == [([asking(trial) for trial in trials], 4)]
    assert [job.over() for job in jobs] == [True, True]
    assert [job.refused() for job in jobs] == [None, None]


def test_a_launcher_that_gives_up_loses_no_trial_that_still_runs(trials):
    launcher = Gate(error=RuntimeError("a worker died"))
    jobs = Threaded(launcher).send(trials, 0)
    with RunFolder(trials[1].plan.folder).lock():
        launcher.word.set()
        jobs[0].batch.join(60)
        assert [job.over() for job in jobs] == [True, False]
    assert jobs[1].over()
    with pytest.raises(UserError, match="Gate gave up: a worker died"):
        raise jobs[0].refused()


def test_jobs_of_earlier_commands_are_unknown(trials):
    assert Threaded(Gate()).found("12") is None
