"""Hydra's view of our sweepers: plugins that hand over to duogen.sweep, which is imported only when one runs."""

from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class Sweeping(Sweeper):
    """What both sweepers share: the settings of hydra.sweeper, and the launcher that Hydra has chosen."""

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )


class Grid(Sweeping):
    """Every combination of the values, with every seed."""

    def sweep(self, arguments: list[str]) -> int:
        from duogen.sweep.grid import sweep

        return sweep(self, arguments)


class Searching(Sweeping):
    """Settings drawn by an Optuna study, each judged by all of its seeds together."""

    def sweep(self, arguments: list[str]) -> int:
        from duogen.sweep.searching import sweep

        return sweep(self, arguments)
