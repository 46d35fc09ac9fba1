"""`hydra/launcher=slurm`: found by Hydra, which imports this module at every start; the work is in duogen.sweep."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from duogen.sweep.cluster.batches import Batches


GPUS = ("gpus_per_node", "gpus_per_task", "gres", "cpus_per_gpu", "mem_per_gpu")


class Slurm(Launcher):
    """Submits trials through hydra-submitit-launcher, whose settings it takes, and looks after them in the queue."""

    def __init__(self, detach: bool, at_once: int, poll_s: float, grace_s: float, **submission: Any) -> None:
        self.detach, self.submission = detach, submission
        self.pace = {"at_once": at_once, "poll_s": poll_s, "grace_s": grace_s}

    @property
    def device(self) -> str:
        """The kind of device on which the jobs run: cuda where the submission asks for GPUs."""
        return "cuda" if any(self.submission.get(name) for name in GPUS) else "cpu"

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher = submitting()(**self.submission)
        self.launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self.launcher.launch(job_overrides, initial_job_idx)

    def fleet(self) -> "Batches":
        """The workers of a sweep: this user's jobs in the queue."""
        from duogen.sweep.cluster.batches import Batches, Detached
        from duogen.sweep.cluster.on_slurm import OnSlurm
        from duogen.sweep.cluster.squeue import Queue

        engine = OnSlurm(self.launcher, Queue(every_s=5 * self.pace["poll_s"]))
        return (Detached if self.detach else Batches)(engine, **self.pace)


def submitting() -> Any:
    """The launcher of the extra, where it is installed and there is a Slurm to submit to."""
    from duogen.errors import UserError

    if shutil.which("sbatch") is None:
        raise UserError(
            "hydra/launcher=slurm, but there is no sbatch on this machine",
            "a machine from which Slurm takes jobs",
            "log in to the cluster's own, or drop hydra/launcher=slurm for this machine's slots",
        )
    try:
        from duogen.sweep.cluster.on_slurm import Submitting
    except ImportError as error:
        raise UserError(
            f"hydra/launcher=slurm without its extra ({error})", "hydra-submitit-launcher", "pip install duogen[slurm]"
        ) from error
    return Submitting
