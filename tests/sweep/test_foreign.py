"""Our pool under a sweeper that is not ours."""

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from duogen.experiment.folder import RunFolder
from duogen.records import RunRecord
from duogen.sweep import foreign
from duogen.sweep.call import CALL, Call

TINY = ["data=ring", "generator=mlp", "discriminator=mlp", "budget=smoke", "logger=none", "trainer=cpu"]


class Backwards:
    """A fleet that ends trials in reverse: those whose loss is minimax fail, the others validate their seed."""

    def __init__(self):
        self.labels = []

    def work(self, desk):
        trials = []
        while (trial := desk.next()) is not None:
            trials.append(trial)
        for trial in reversed(trials):
            self.labels.append(trial.label)
            failed = trial.plan.choices["adversarial"] == "minimax"
            folder = RunFolder(trial.plan.folder)
            record = RunRecord(trial.key, [trial.key], "running", {}, [], trial.seed)
            folder.write_record(record.end("failed", "planted") if failed else record.end("done", None))
            folder.rows.write_text(f'{{"step": 3, "validate/gan/modes": {trial.seed}}}\n')
            desk.ended(trial, 1 if failed else 0, timed_out=False)


@pytest.fixture
def call(tmp_path):
    token = CALL.set(Call((), None, (), tmp_path / "sweep", "sweep", False))
    yield OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "sweep")}}})
    CALL.reset(token)


def test_returns_come_in_the_order_of_the_jobs(call):
    fleet = Backwards()
    jobs = [[*TINY, "adversarial=hinge", f"seed={seed}"] for seed in (5, 3, 4)]
    returned = foreign.launch(fleet, call, jobs)
    assert fleet.labels == ["seed=4", "seed=3", "seed=5"]
    assert [(one.status, one.return_value) for one in returned] == [(JobStatus.COMPLETED, seed) for seed in (5, 3, 4)]
    assert [one.overrides for one in returned] == jobs


def test_a_failed_trial_is_a_failed_job_and_harms_no_other(call):
    jobs = [[*TINY, f"adversarial={loss}", "seed=1"] for loss in ("minimax", "hinge")]
    failed, done = foreign.launch(Backwards(), call, jobs)
    assert (failed.status, done.status) == (JobStatus.FAILED, JobStatus.COMPLETED)
    with pytest.raises(RuntimeError, match="adversarial=minimax,seed=1: planted"):
        _ = failed.return_value
    assert done.return_value == 1
