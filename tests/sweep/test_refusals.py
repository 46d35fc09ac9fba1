"""Mistakes in a sweep's own settings, in the command and in the file, each told with what there is."""

import pytest

from duogen.errors import UserError
from duogen.sweep import run
from duogen.sweep.run import sweep


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.crew, "warm_up", lambda modules: None)


@pytest.mark.parametrize(
    ("overrides", "told", "remedy"),
    [
        (["hydra.sweeper=3"], "hydra/sweeper=NAME", "by its name"),
        (["hydra.launcher.threads=1,2"], "one value", "[a,b]"),
        (["hydra.sweeper.params.optimizer.lr=1,2"], "one value", "write optimizer.lr=1,2"),
        (["sweep=ttur,lucic"], "one sweep for a command", "a command to each"),
        (["hydra.sweeper.metrc=x"], "hydra.sweeper.metric,", "for example hydra.sweeper.metric=x"),
        (["hydra.sweeper.n_trials=2"], "hydra.sweeper.metric,", "take hydra/sweeper=optuna"),
        (["sweep=wgan_lr", "hydra.sweeper.n_trial=2"], "hydra.sweeper.n_trials,", "hydra.sweeper.n_trials=2"),
        (["sweep=wgan_lr", "hydra.sweeper.pruner.n_min=2"], "hydra.sweeper.pruner.n_min_trials,", "take one of these"),
        (["sweep=wgan_lr", "hydra/sweeper/sampler=gp", "hydra.sweeper.sampler.n_ei_candidate=2"],
         "hydra.sweeper.sampler.n_startup_trials", "take one of these"),
        (["hydra/launcher=ray", "hydra.launcher.ray.init.addres=x"], "hydra.launcher.ray.init.address,", "address=x"),
        (["hydra.sweep.dirr=x"], "hydra.sweep.dir", "hydra.sweep.dir=x"),
        (["hydra.launcherr.x=1"], "hydra.launcher,", "hydra.launcher"),
        (["hydra/job_loging=x"], "hydra/launcher, hydra/sweeper", "take one"),
        (["hydra/launcher=slrum"], "slurm, ", "hydra/launcher=slurm"),
        (["hydra.sweeper.params.lr=1"], "lr=1", "without hydra"),
        (["+hydra.sweeper.foo=3"], "hydra.sweeper.metric,", "take one of these"),
        (["+hydra.launcher.thread=3"], "hydra.launcher.threads,", "hydra.launcher.threads"),
        (["sweep=wgan_lr", "hydra/sweeper=grid"], "hydra.sweeper.metric,", "take hydra/sweeper=optuna"),
    ],
)  # fmt: skip
def test_a_mistake_below_hydra_is_told_with_what_there_is(overrides, told, remedy):
    with pytest.raises(UserError) as caught:
        sweep(["data=ring", *overrides], None, [], False)
    assert told in caught.value.allowed
    assert remedy in caught.value.remedy


FILE = """# @package _global_
defaults:
  - override /hydra/sweeper: grid
hydra:
  sweeper:
    metric: modes_found
    params:
      adversarial: hinge,minimax
"""


@pytest.mark.parametrize(
    ("old", "new", "told", "remedy"),
    [
        ("# @package _global_", "", "# @package _global_", "first line"),
        ("defaults:\n  - override /hydra/sweeper: grid\n", "", "grid, optuna", "override /hydra/sweeper: grid"),
        ("  sweeper:", "  sweper:", "hydra.sweeper,", "hydra.sweeper"),
        ("metric:", "metrc:", "hydra.sweeper.metric,", "hydra.sweeper.metric"),
        ("params:\n      adversarial: hinge,minimax", "params: 3", "names, each with its value", "e.g. params"),
        ("params:", "settings: [a, b]\n    params:", "names, each with its value", "{small: {generator: mlp"),
        ("grid\n", "optuna\n    settings: {}", "YAML in UTF-8", "mend"),
        ("params:", "settings: {}\n    sampler: x\n    params:", "hydra.sweeper.", "take one of these"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_told_with_what_there_is(old, new, told, remedy, tmp_path):
    file = tmp_path / "conf" / "sweep" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(FILE.replace(old, new))
    with pytest.raises(UserError) as caught:
        sweep(["data=ring", "sweep=mine"], tmp_path / "conf", [], False)
    assert told in caught.value.allowed
    assert remedy in caught.value.remedy
