"""Ray as an engine, through hydra-ray-launcher; imported only where that is asked for."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray, start_ray
from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher
from omegaconf import DictConfig, OmegaConf, open_dict

from duogen.sweep.agenda import Trial
from duogen.sweep.cluster.asking import asking
from duogen.sweep.cluster.batches import Job
from duogen.sweep.snapshot import VARIABLE


class RayJob:
    """A task of Ray: over when it has a result, or its worker is gone."""

    name: str | None = None

    def __init__(self, task: Any) -> None:
        self.task = task

    def over(self) -> bool:
        return bool(ray.wait([self.task], timeout=0)[0])

    def refused(self) -> Exception | None:
        return None

    def output(self) -> Path | None:
        return None


class OnRay:
    """Trials as tasks of Ray, which places them by what each asks for and never repeats one on its own."""

    def __init__(self, launcher: RayLauncher) -> None:
        self.launcher = launcher

    @property
    def remote(self) -> DictConfig:
        """What each task asks for; a copy of the code is named, since a running cluster has its own environment."""
        given = {**self.launcher.ray_cfg.remote, "max_retries": 0}
        if VARIABLE in os.environ:
            named = {name: os.environ[name] for name in (VARIABLE, "PYTHONPATH")}
            own = given.get("runtime_env") or {}
            given["runtime_env"] = {**own, "env_vars": {**own.get("env_vars", {}), **named}}
        return OmegaConf.create(given)

    def send(self, trials: Sequence[Trial], index: int) -> list[RayJob]:
        setup_globals()
        start_ray(self.launcher.ray_cfg.init)
        return [RayJob(self.task(trial, number)) for number, trial in enumerate(trials, index)]

    def task(self, trial: Trial, number: int) -> Any:
        context, function = self.launcher.hydra_context, self.launcher.task_function
        assert context is not None
        assert function is not None
        config = self.composed(trial)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = trial.key, number
        return launch_job_on_ray(context, self.remote, config, function, Singleton.get_state())

    def composed(self, trial: Trial) -> DictConfig:
        context, config = self.launcher.hydra_context, self.launcher.config
        assert context is not None
        assert config is not None
        return context.config_loader.load_sweep_config(config, asking(trial))

    def found(self, name: str) -> Job | None:
        return None

    def cancel(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if isinstance(job, RayJob) and not job.over():
                ray.cancel(job.task)
