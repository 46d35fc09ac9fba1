"""Hydra's view of the pool: the slots of this machine, one fresh process for each trial."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from duogen.sweep.desk import Fleet


class PoolLauncher(Launcher):
    """Runs trials on this machine's slots.

    Args:
        slots: names of slots without a device, instead of those found; null: one for each visible GPU, else the cores
            divided by `threads`.
        slots_per_gpu: trials that share a GPU, >= 1, or `auto`: as many as fit into its memory.
        threads: CPU threads of each slot where there is no GPU, >= 1.
    """

    def __init__(self, slots: Sequence[str] | None, slots_per_gpu: int | str, threads: int) -> None:
        self.slots, self.slots_per_gpu, self.threads = slots, slots_per_gpu, threads
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def fleet(self) -> "Fleet":
        """The pool; what a sweep of ours works with."""
        from duogen.sweep.local.pool import pool

        return pool(self.slots, self.slots_per_gpu, self.threads)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """The batch of a sweeper that is not ours; results are in the order of the jobs."""
        from duogen.sweep.foreign import launch

        assert self.config is not None
        return launch(self.fleet(), self.config, job_overrides)
