"""Ray as an engine: what each task asks for, and which trial it is given."""

from types import SimpleNamespace

import pytest

pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="the extra ray is not installed")

from omegaconf import OmegaConf

from duogen.sweep.cluster import on_ray as subject
from duogen.sweep.cluster.on_ray import OnRay, RayJob
from duogen.sweep.snapshot import VARIABLE
from sweep.fakes import trial


def engine(**remote):
    launcher = SimpleNamespace(ray_cfg=OmegaConf.create({"remote": {"num_gpus": 0.5, "max_retries": 3, **remote}}))
    return OnRay(launcher)


def test_a_task_asks_for_what_the_launcher_says_and_is_never_repeated(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert engine().remote == {"num_gpus": 0.5, "max_retries": 0}


def test_a_task_is_told_of_a_copy_of_the_code_beside_what_else_it_is_told(monkeypatch):
    monkeypatch.setenv(VARIABLE, "copy")
    monkeypatch.setenv("PYTHONPATH", "copy:more")
    told = {VARIABLE: "copy", "PYTHONPATH": "copy:more"}
    assert engine().remote.runtime_env == {"env_vars": told}
    own = {"working_dir": "w", "env_vars": {"A": "1"}}
    assert engine(runtime_env=own).remote.runtime_env == {"working_dir": "w", "env_vars": {"A": "1", **told}}


def test_each_trial_is_a_task_with_its_key_and_number(monkeypatch, tmp_path):
    launched, overrides = [], []

    def compose(config, given):
        overrides.append(given[0])
        return OmegaConf.create({"hydra": {"job": {}}})

    launcher = SimpleNamespace(
        ray_cfg=OmegaConf.create({"init": {}, "remote": {}}),
        hydra_context=SimpleNamespace(config_loader=SimpleNamespace(load_sweep_config=compose)),
        task_function=len,
        config={},
    )
    monkeypatch.setattr(subject, "start_ray", lambda init: launched.append("ray"))
    monkeypatch.setattr(subject, "launch_job_on_ray", lambda context, remote, config, task, state: launched.append(
        (config.hydra.job.id, config.hydra.job.num, task)
    ))  # fmt: skip
    jobs = OnRay(launcher).send([trial(tmp_path, "a"), trial(tmp_path, "b", 1)], 4)
    assert launched == ["ray", ("a", 4, len), ("b", 5, len)]
    assert [name in text for name, text in zip(("a.json", "b.json"), overrides, strict=True)] == [True, True]
    assert [job.name for job in jobs] == [None, None]


def test_a_task_that_is_over_is_not_cancelled(monkeypatch):
    cancelled = []
    monkeypatch.setattr(subject.ray, "wait", lambda tasks, timeout: ([task for task in tasks if task == "over"], []))
    monkeypatch.setattr(subject.ray, "cancel", cancelled.append)
    engine().cancel([RayJob("over"), RayJob("runs")])
    assert cancelled == ["runs"]
