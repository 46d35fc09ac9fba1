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
CODES = ("latent_dim=3", "encoder.width=8", "decoder.width=8", "likelihood=gaussian")
SEEN = ("encoder.width=8", "likelihood=gaussian", "optimizer.lr=1e-2")
JUDGED = (*CODES, "discriminator.width=8", "discriminator.depth=1", "optimizer.lr=1e-2")
FILES = {
    "gan": (*MLP, "latent_dim=3"),
    "conditional_gan": (*MLP, "latent_dim=3"),
    "vae": (*CODES, "optimizer.lr=1e-2"),
    "vae_gan": (*SEEN, "latent_dim=3", "decoder=mlp", "decoder.width=8", *MLP[1:2], *MLP[3:4], *MLP[5:]),
    "lagging_vae": (
        *SEEN,
        "latent_dim=3",
        "decoder.width=8",
        "model.window=3",
        "model.most=8",
        "metrics.mutual_information.examples=40",
    ),
    "hierarchical_vae": (
        *SEEN,
        "bottom_dim=2",
        "top_dim=1",
        "decoder.decoder.width=8",
        "posterior.width=8",
        "prior.width=8",
    ),
    "factor_vae": JUDGED,
    "adversarial_autoencoder": JUDGED,
    "wae_gan": JUDGED,
    "vq_vae": (*CODES, "encoder=mlp", "decoder=mlp", "quantizer.size=7", "optimizer.lr=1e-2"),
    "split_vae": (*CODES, "optimizer.lr=1e-2"),
    "infogan": (*MLP, "noise_dim=3", "categories=[3]", "continuous=1", "model.discriminator.width=4"),
}
OWN_TURNS = {
    "vae": "solo",
    "vq_vae": "solo",
    "split_vae": "encoder_decoder",
    "factor_vae": "autoencoder_discriminator",
    "adversarial_autoencoder": "adversarial_autoencoder",
    "wae_gan": "discriminator_autoencoder",
    "vae_gan": "vae_gan",
    "lagging_vae": "lagging",
    "hierarchical_vae": "solo",
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
        if (own := OWN_TURNS.get(self.name)) is not None:  # other turns are played by its own players
            turns = composed_config((*self.overrides, f"turns={own}"))["turns"]
            composed["turns"] = deepcopy(turns) | {"_target_": composed["turns"]["_target_"]}
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
