"""Slurm's queue as an engine, through hydra-submitit-launcher; imported only where that is asked for, and in jobs."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import submitit
from hydra.core.singleton import Singleton
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from submitit.core.utils import FailedJobError, JobPaths

from duogen.errors import UserError
from duogen.sweep.cluster import squeue
from duogen.sweep.cluster.asking import asking

if TYPE_CHECKING:
    from duogen.sweep.agenda import Trial
    from duogen.sweep.cluster.batches import Job

OF_ALL_QUEUES = {field.name for field in fields(BaseQueueConf)}
OF_THE_EXECUTOR = ("submitit_folder", "max_num_timeout")


class Submitting(SlurmLauncher):
    """The plugin's launcher with the half that it hides: jobs are submitted and known by name, not waited for."""

    def submit(self, overrides: Sequence[Sequence[str]], index: int) -> list[str]:
        """Submits one job for each list of overrides, several as one array, and returns their names.

        Raises:
            UserError: sbatch refuses.
        """
        state = Singleton.get_state()
        calls = [
            (list(given), "hydra.sweep.dir", number, f"job_id_for_{number}", state)
            for number, given in enumerate(overrides, index)
        ]
        try:
            return [str(job.job_id) for job in self.executor().map_array(self, *zip(*calls, strict=True))]
        except FailedJobError as error:
            said = str(error).strip().splitlines()[-1]
            remedy = "mend hydra.launcher.partition, .account, .timeout_min or what else it names"
            raise UserError(f"sbatch refuses: {said}", "what sinfo shows", remedy) from error

    def executor(self) -> submitit.AutoExecutor:
        params = self.params
        executor = submitit.AutoExecutor(
            folder=params["submitit_folder"], cluster="slurm", slurm_max_num_timeout=params["max_num_timeout"]
        )
        settings = {name: value for name, value in params.items() if name not in OF_THE_EXECUTOR} | {
            "additional_parameters": {"requeue": True, **params["additional_parameters"]},
            "setup": [*(params["setup"] or []), *step_setup(params["cpus_per_task"])],
        }
        executor.update_parameters(
            **{name if name in OF_ALL_QUEUES else f"slurm_{name}": value for name, value in settings.items()}
        )
        return executor


def step_setup(cpus_per_task: int | None) -> list[str]:
    """Since Slurm 22.05 a step no longer takes its cores from the job: it would have one."""
    return [] if cpus_per_task is None else [f"export SRUN_CPUS_PER_TASK={cpus_per_task}"]


class Submitted:
    """A job that is over when the queue holds it no more."""

    def __init__(self, name: str, queue: squeue.Queue, logs: str) -> None:
        self.name, self.queue = name, queue
        self.paths = JobPaths(logs, job_id=name)

    def over(self) -> bool:
        return not self.queue.holds(self.name)

    def refused(self) -> Exception | None:
        return None

    def output(self) -> Path | None:
        return self.paths.stderr


class OnSlurm:
    """Trials as Slurm jobs."""

    def __init__(self, launcher: Submitting, queue: squeue.Queue) -> None:
        self.launcher, self.queue = launcher, queue

    def send(self, trials: Sequence["Trial"], index: int) -> list[Submitted]:
        names = self.launcher.submit([asking(trial) for trial in trials], index)
        self.queue.forget()
        return [self.job(name) for name in names]

    def found(self, name: str) -> Submitted | None:
        return self.job(name) if self.queue.holds(name) else None

    def job(self, name: str) -> Submitted:
        return Submitted(name, self.queue, self.launcher.params["submitit_folder"])

    def cancel(self, jobs: Sequence["Job"]) -> None:
        squeue.cancel([job.name for job in jobs if job.name is not None])
