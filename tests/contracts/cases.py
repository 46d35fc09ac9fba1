"""The cases of the contract tests, found on disk: every model of the config tree and every tiny module."""

import inspect
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from contracts import tiny
from duogen.compose import compose, conf_dir
from duogen.experiment import trial
from duogen.experiment.folder import RunFolder
from duogen.experiment.resolve import resolve
from duogen.experiment.trial import Plan
from duogen.modules.alternating import AlternatingModule

ALLOW = ["contracts.tiny."]
SMALL = (
    "data=ring",
    "data.train_size=1000",
    "data.evaluation_size=50",
    "data.batch_size=16",
    "logger=none",
    "trainer=cpu",
)
MLP = (
    "generator=mlp",
    "discriminator=mlp",
    "generator.width=8",
    "discriminator.width=8",
    "generator.depth=2",
    "discriminator.depth=2",
)
FILES = {
    "gan": (*MLP, "latent_dim=3"),
    "conditional_gan": (*MLP, "latent_dim=3"),
    "infogan": (*MLP, "noise_dim=3", "categories=[3]", "continuous=1", "model.discriminator.width=4"),
}


@dataclass(frozen=True)
class Case:
    """One module as a config: its name, the overrides that make it small, and the tiny class if it is one."""

    name: str
    overrides: tuple[str, ...]
    tiny: type[AlternatingModule] | None = None

    def config(self, *more: str) -> dict[str, Any]:
        """The resolved config, with turns and learners of the tiny module where it is one."""
        composed = deepcopy(composed_config(self.overrides + more))
        if self.tiny is not None:
            node = {name: turn_node(turn) for name, turn in self.tiny.turns_needed.items()}
            settings = next(iter(composed["optimizers"].values()))
            players = {turn["player"] for turn in self.tiny.turns_needed.values()}
            composed |= {
                "model": {"_target_": f"contracts.tiny.{self.tiny.__name__}"},
                "turns": {"_target_": composed["turns"]["_target_"], **node},
                "optimizers": {player: deepcopy(settings) for player in sorted(players)},
            }
            composed["budget"]["updates"] = {}
        return resolve(composed, self.name, ALLOW)


@cache
def composed_config(overrides: tuple[str, ...]) -> dict[str, Any]:
    return compose(list(overrides)).config


def turn_node(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {"_target_": "duogen.modules.turns.Turn", **turn}


def found() -> list[Case]:
    """At least one case per model YAML and per tiny class; a model without a case fails here."""
    models = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml"))
    cases = [Case(name, (*SMALL, f"model={name}", *FILES[name])) for name in models]
    classes = [c for _, c in inspect.getmembers(tiny, inspect.isclass) if c.__module__ == tiny.__name__]
    cases += [Case(c.__name__, (*SMALL, *MLP), c) for c in classes]
    assert len(models) >= 1
    assert len(classes) >= 4
    return cases


def run(config: Mapping[str, Any], folder: Path) -> RunFolder:
    """The trial in this process; it must end as done."""
    code = trial.run(Plan(config, folder, allow=ALLOW))
    record = RunFolder(folder).record()
    assert record is not None
    assert (code, record.status) == (0, "done"), record.error
    return RunFolder(folder)
