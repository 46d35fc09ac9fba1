"""Every YAML on disk composes, binds to its constructors and trains two batches; none is left out."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.cases import ALLOW, found, run
from duogen.compose import compose
from duogen.conftree import conf_dir
from duogen.errors import UserError
from duogen.experiment import pairs
from duogen.experiment.build import check
from duogen.experiment.resolve import resolve

OPTIONS = sorted(path.relative_to(conf_dir()).with_suffix("").as_posix() for path in conf_dir().glob("*/*.yaml"))
SMALL = (
    "trainer=cpu", "logger=none", "trainer.max_steps=2", "data.batch_size=8", "log_every=1", "validate_every=2",
)  # fmt: skip
NARROW = ("generator.width=4", "discriminator.width=4")
MLP = ("generator=mlp", "discriminator=mlp")
UNNORM = ("discriminator.batch_norm=false",)
TOYS = ("ring", "grid", "swiss_roll", "two_moons", "checkerboard")
SLOPES = ("gradient_penalty", "r1", "r2", "dragan")
COMPANIONS = {
    "adversarial/wasserstein": ("penalty=[gradient_penalty]", "discriminator.batch_norm=false"),
    "adversarial/began": ("discriminator=autoencoder",),
    "adversarial/energy_based": ("discriminator=autoencoder",),
    "discriminator/autoencoder": ("adversarial=began",),
    "turns/lazy": ("penalty=[r1]", *UNNORM),
    "turns/lazy_path": ("penalty=[r1,path_length]", *UNNORM),
    "conditioning/projection": ("model=conditional_gan",),
    "conditioning/auxiliary_classifier": ("model=conditional_gan",),
    "metrics/intra_class_frechet": ("model=conditional_gan",),
    "metrics/classifier_accuracy": ("model=conditional_gan",),
    "metrics/classifier_modes": ("extractor=lenet",),
    "sweep/generators": ("extractor=pixels",),  # a classifier would have to be trained on so few digits first
    "sweep/generators_mnist": ("extractor=pixels",),
    "sweep/lucic": ("extractor=pixels",),
    "metrics/classifier_score": ("extractor=lenet",),
    "metrics/mixture_modes": ("data=ring", *MLP),
    "scheduler/plateau": ("monitor=frechet_pixels",),
    **{f"data/{toy}": MLP for toy in TOYS},
    **{f"penalty/{slope}": UNNORM for slope in SLOPES},
}
ABSENT_HARDWARE = {"trainer/gpu", "trainer/ddp", "trainer/slurm_ddp"}
RANKS = {"trainer/ddp_cpu"}
SIZES = ("validate_size", "train_size", "test_size", "evaluation_size")
ABSENT_WEIGHTS = {"extractor/inception", "extractor/dinov2"}
ABSENT_FILES = {"data/cifar10"}
LISTS = {"penalty", "logger", "metrics"}


def overrides(option):
    group, _, name = option.partition("/")
    chosen = f"{group}=[{name}]" if group in LISTS and name != "none" else f"{group}={name}"
    small = [s for s in SMALL if not s.startswith(f"{group}=")]
    if group in ("experiment", "sweep"):
        small.append("budget=smoke")
    return [*small, *COMPANIONS.get(option, ()), chosen, *NARROW]


def pictures(folder):
    for index in range(12):
        path = folder / f"class {index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(index).integers(0, 256, (9 + index, 16, 3), dtype=np.uint8)
        Image.fromarray(values).save(path)
    return folder


def test_the_options_were_found():
    groups = {option.split("/")[0] for option in OPTIONS}
    assert len(OPTIONS) >= 110
    assert {"generator", "discriminator", "adversarial", "penalty", "turns", "data", "metrics", "trainer"} <= groups
    assert set(COMPANIONS) | ABSENT_HARDWARE | ABSENT_WEIGHTS | ABSENT_FILES | RANKS <= set(OPTIONS)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in {"turns/solo"}])
def test_an_option_composes_binds_and_trains_two_batches(option, tmp_path):
    config = compose(overrides(option)).config
    pairs.refuse(config)
    check(config)
    if option in ABSENT_HARDWARE | ABSENT_FILES | RANKS:
        return
    if option in ABSENT_WEIGHTS:
        with pytest.raises(UserError, match="weights"):
            resolve_and_run(config, option, tmp_path)
        return
    if option == "data/image_folder":
        config["data"] |= {"root": str(pictures(tmp_path / "images")), "batch_size": 4}
    if folder := config["data"].get("folder"):
        if not Path(os.environ.get("DUOGEN_DATA", "/nonexistent"), folder).is_dir():
            pytest.skip(f"DUOGEN_DATA has no folder {folder}")
        config["data"] |= {name: 200 for name in SIZES if name in config["data"]}
        config["metrics"] = {}
    assert resolve_and_run(config, option, tmp_path).record().steps == 2


def resolve_and_run(config, option, tmp_path):
    return run(resolve(config, option, ()), tmp_path / "run")


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("experiment/")])
@pytest.mark.parametrize("tier", ["smoke", "demo", "paper"])
def test_an_experiment_composes_on_every_budget_and_on_colour_images(option, tier):
    chosen = [f"experiment={option.partition('/')[2]}", f"budget={tier}", "trainer=cpu"]
    config = compose(chosen).config
    assert config["budget"]["tier"] == tier
    if len(config["data"]["shape"]) == 3:
        pairs.refuse(compose([*chosen, "data=cifar10"]).config)


def test_the_solo_schedule_trains_a_module_of_one_player(tmp_path):
    case = next(case for case in found() if case.name == "TinyVAE")
    turns = compose(["turns=solo"]).config["turns"]
    config = case.config("budget.steps=2") | {"turns": turns}
    check(config, ALLOW)
    assert run(config, tmp_path / "run").record().updates == {"autoencoder": 2}


@pytest.mark.parametrize("generator", ["mlp", "dcgan"])
@pytest.mark.parametrize("discriminator", ["mlp", "dcgan"])
@pytest.mark.parametrize("penalty", ["[]", "[r1,r2]", "[gradient_penalty]"])
def test_pairs_of_deviations_train(generator, discriminator, penalty, tmp_path):
    chosen = [f"generator={generator}", f"discriminator={discriminator}", f"penalty={penalty}", "adversarial=hinge"]
    norm = ["discriminator.batch_norm=false"] if discriminator == "dcgan" else []
    config = compose([*SMALL, *chosen, *norm, *NARROW, "turns=simultaneous"]).config
    pairs.refuse(config)
    assert run(resolve(config, "pair", ()), tmp_path / "run").record().steps == 2
