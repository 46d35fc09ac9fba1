"""Every option of the GAN's roles alone, and every pair of options of two roles: two batches, or a refusal by name.

A combination is composed, built and played on eight real images without a Trainer, under the watch of law 3; the table
of senseless pairs, `refused.yaml`, is tested both ways.
"""

from functools import cache
from itertools import combinations, product, repeat
from pathlib import Path

import pytest
import torch
import yaml

from contracts.watch import Watch
from duogen.compose import compose
from duogen.conftree import conf_dir
from duogen.errors import UserError
from duogen.experiment import assemble, pairs
from duogen.experiment.resolve import resolve

COUNTS = {
    "generator": 7, "discriminator": 9, "adversarial": 9, "penalty": 10, "augmentation": 5, "conditioning": 2,
    "turns": 7, "other": 4,
}  # fmt: skip
ROLES = [role for role in COUNTS if role != "other"]
OTHERS = ["pack=2", "model.top_k=0.5", "model=infogan", "discriminator.spectral_norm=true"]
LISTS = {"penalty"}
SHARES = 16
BASE = (
    "data=digits", "data.batch_size=8", "trainer=cpu", "logger=none", "metrics=[]", "budget.steps=2",
)  # fmt: skip
SMALL = ("generator.width=8", "discriminator.width=8")
COMPANIONS = {
    "adversarial=wasserstein": ("model.weight_clip=0.01",),
    "adversarial=began": ("discriminator=autoencoder",),
    "adversarial=energy_based": ("discriminator=autoencoder",),
    "discriminator=autoencoder": ("adversarial=began",),
    "discriminator=dcgan": ("discriminator.batch_norm=false",),
    "conditioning=projection": ("model=conditional_gan",),
    "conditioning=auxiliary_classifier": ("model=conditional_gan",),
    "turns=lazy": ("penalty=[r1]",),
    "turns=lazy_path": ("penalty=[r1,path_length]",),
}
OTHER_PLAYERS = (  # schedules of the players of other models
    "turns=solo",
    "turns=encoder_decoder",
    "turns=autoencoder_discriminator",
    "turns=discriminator_autoencoder",
    "turns=adversarial_autoencoder",
    "turns=vae_gan",
    "turns=lagging",
)
TABLE = yaml.safe_load(Path(__file__).with_name("refused.yaml").read_text(encoding="utf-8"))
REFUSED = {name: words for words, names in TABLE.items() for name in names}


def found(role):
    names = sorted(path.stem for path in (conf_dir() / role).glob("*.yaml"))
    options = [f"{role}=[{name}]" if role in LISTS else f"{role}={name}" for name in names]
    return [option for option in options if option not in OTHER_PLAYERS]


OPTIONS = {role: found(role) for role in ROLES} | {"other": OTHERS}
PAIRS = [pair for one, two in combinations(OPTIONS, 2) for pair in product(OPTIONS[one], OPTIONS[two])]
PAIRS += combinations(OPTIONS["penalty"], 2)
COMBINATIONS = [*((option,) for options in OPTIONS.values() for option in options), *PAIRS]


def overrides(chosen):
    """The overrides of a combination: small networks, what the chosen need, then the chosen themselves."""
    keyed = {"generator": "generator=mlp", "discriminator": "discriminator=mlp"}
    needed = [companion for option in chosen for companion in COMPANIONS.get(option, ())]
    keyed |= {option.partition("=")[0]: option for option in [*needed, *chosen]}
    penalties = [option.partition("=")[2].strip("[]") for option in chosen if option.startswith("penalty=")]
    if penalties:
        keyed["penalty"] = f"penalty=[{','.join(penalties)}]"
    if keyed.get("discriminator") != "discriminator=dcgan":
        keyed.pop("discriminator.batch_norm", None)
    return (*BASE, *keyed.values(), *SMALL)


@cache
def images():
    data = assemble.data(compose([*BASE]).config, ())
    data.setup()
    return data.train_examples(8)


def play(overrides):
    """Two batches of a combination; raises UserError where it is refused."""
    config = compose(overrides).config
    pairs.refuse(config)
    config = resolve(config, "pair", ())
    module = assemble.module(config, ())
    assemble.teach(module, config, ())
    module.configure_optimizers()
    module._extra = repeat(images())
    for module.step in range(2):
        module.turns.play(module, images())
    module.eval()
    generated = module.counterparts(images(), torch.Generator().manual_seed(0))
    assert generated.values.shape == images().values.shape
    assert generated.values.isfinite().all()


def tried(share, told, refused, least, monkeypatch, record_property):
    """Plays each combination; all but those that the table refuses, for the reason it says, must train all they have.

    `told` makes the overrides of a combination; at least that part of the share has to train.
    """
    broken, trained = {}, 0
    for chosen in share:
        name, because = " ".join(chosen), None
        with monkeypatch.context() as patch:
            watch = Watch(patch)
            try:
                play(told(chosen))
                trained += 1
                if watch.unreached() or not watch.moved:
                    broken[name] = f"without a finite gradient: {watch.unreached()}"
            except UserError as error:
                because = error.given
            except Exception as error:
                broken[name] = f"{type(error).__name__}: {error}"
        if (because is not None) != (name in refused):
            broken[name] = f"refused: {because}; the table says {refused.get(name, 'that it trains')}"
        elif because is not None and refused[name] not in because:
            broken[name] = f"refused for another reason: {because}"
    record_property("combinations that trained two batches", trained)
    record_property("combinations refused by name", len(share) - trained)
    assert broken == {}
    assert trained >= least * len(share)


@pytest.mark.parametrize("share", range(SHARES))
def test_every_combination_trains_or_is_refused_by_name(share, monkeypatch, record_property):
    tried(COMBINATIONS[share::SHARES], overrides, REFUSED, 0.7, monkeypatch, record_property)


def test_all_that_is_on_disk_was_combined():
    count = sum(map(len, OPTIONS.values()))
    assert len(COMBINATIONS) == count + len(PAIRS) == 1300
    assert {role: len(options) for role, options in OPTIONS.items()} == COUNTS
    assert set(REFUSED) <= {" ".join(chosen) for chosen in COMBINATIONS}
