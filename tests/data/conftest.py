import os
import random
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf" / "data"


@pytest.fixture
def built():
    """Builds the data module of a YAML by its stem, with overrides of its keys."""

    def build(stem, seed=7, **overrides):
        config = OmegaConf.merge({"seed": seed}, OmegaConf.load(CONF / f"{stem}.yaml"), {"data": overrides})
        arguments = OmegaConf.to_container(config.data, resolve=True)
        module, name = arguments.pop("_target_").rsplit(".", 1)
        return getattr(import_module(module), name)(**arguments)

    return build


@pytest.fixture
def real_files():
    """The data folder, for tests of original files; skips where it lacks the named set."""

    def require(folder):
        if not os.environ.get("DUOGEN_DATA"):
            pytest.skip("DUOGEN_DATA is not set")
        if not (Path(os.environ["DUOGEN_DATA"]) / folder).is_dir():
            pytest.skip(f"DUOGEN_DATA has no folder {folder}")

    return require


@pytest.fixture
def global_generators():
    """A snapshot of the states of the three global generators, comparable with ==."""

    def snapshot():
        name, keys, *rest = np.random.get_state()
        return torch.get_rng_state().tolist(), random.getstate(), (name, keys.tolist(), *rest)

    return snapshot


@pytest.fixture
def trainer():
    """What a data module asks of a trainer, for rank r of w ranks at a step."""

    def make(step=0, rank=0, world=1):
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        return SimpleNamespace(global_step=step, global_rank=rank, world_size=world, strategy=strategy)

    return make
