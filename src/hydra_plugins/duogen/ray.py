"""`hydra/launcher=ray`: found by Hydra, which imports this module at every start; the work is in duogen.sweep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from duogen.sweep.cluster.batches import Batches


class Ray(Launcher):
    """Runs trials as tasks of a Ray cluster through hydra-ray-launcher, whose settings stand under `ray`."""

    def __init__(self, ray: DictConfig, detach: bool, at_once: int, poll_s: float, grace_s: float) -> None:
        self.settings, self.detach = ray, detach
        self.pace = {"at_once": at_once, "poll_s": poll_s, "grace_s": grace_s}

    @property
    def device(self) -> str:
        """The kind of device on which the tasks run: cuda where each asks for a GPU, or for a part of one."""
        return "cuda" if self.settings.remote.num_gpus else "cpu"

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        refuse_detached(self.detach)
        self.launcher = launcher_class()(self.settings)
        self.launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        return self.launcher.launch(job_overrides, initial_job_idx)

    def fleet(self) -> "Batches":
        """The workers of a sweep: the tasks that the cluster has room for."""
        from duogen.sweep.cluster.batches import Batches
        from duogen.sweep.cluster.on_ray import OnRay

        return Batches(OnRay(self.launcher), **self.pace)


class OwnRay(SearchPathPlugin):
    """Lets hydra/launcher=ray be ours: Hydra would hold our file against the config of that name in the extra."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        ConfigStore.instance().repo.get("hydra", {}).get("launcher", {}).pop("ray.yaml", None)


def refuse_detached(detach: bool) -> None:
    from duogen.errors import UserError

    if detach:
        raise UserError(
            "--detach with hydra/launcher=ray, whose tasks end with the command that started them",
            "hydra/launcher=slurm",
            "drop --detach, and leave the command to tmux or nohup",
        )


def launcher_class() -> Any:
    """The launcher of the extra, where it is installed."""
    from duogen.errors import UserError

    try:
        import ray  # noqa: F401
        from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher
    except ImportError as error:
        raise UserError(
            f"hydra/launcher=ray without its extra ({error})", "hydra-ray-launcher", "pip install duogen[ray]"
        ) from error
    return RayLauncher
