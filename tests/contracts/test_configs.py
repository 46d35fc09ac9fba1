"""Every YAML on disk composes, binds to its constructors and trains two batches; none is left out."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.cases import run
from duogen.compose import compose
from duogen.conftree import conf_dir, tree
from duogen.errors import UserError
from duogen.experiment import pairs
from duogen.experiment.build import check
from duogen.experiment.resolve import resolve

FILES = sorted(path.relative_to(conf_dir()).with_suffix("").as_posix() for path in conf_dir().glob("*/*.yaml"))
OPTIONS = [file for file in FILES if not file.startswith("sampler/")]  # a sampler is fitted after training
SMALL = (
    "trainer=cpu", "logger=none", "trainer.max_steps=2", "data.batch_size=8", "log_every=1", "validate_every=2",
)  # fmt: skip
NARROWED = ("generator", "discriminator")
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
VAE = ("model=vae", "latent_dim=4")
FACTORED = ("mig", "sap", "dci", "modularity_explicitness", "irs", "factor_vae_score", "beta_vae_score")
CODED = ("encoder", "decoder", "posterior", "prior", "likelihood", "variational")  # the roles of a VAE
VQ = ("model=vq_vae", "encoder.width=4", "decoder.width=4", "latent_dim=4")
COMPANIONS |= {
    "model/vq_vae": VQ,
    "encoder/vq": VQ,
    "decoder/vq": VQ,
    "model/vae": VAE,
    "model/split_vae": ("latent_dim=4",),
    "turns/solo": VAE,
    **{f"model/{model}": ("latent_dim=4",) for model in ("factor_vae", "adversarial_autoencoder", "wae_gan")},
    "experiment/wae_gan": ("latent_dim=4",),
    "experiment/factor_vae": ("latent_dim=4", "metrics=[]"),
    "model/vae_gan": ("latent_dim=4", "decoder=mlp"),
    "turns/vae_gan": ("model=vae_gan", "latent_dim=4", "decoder=mlp"),
    "model/lagging_vae": ("latent_dim=4",),
    "turns/lagging": ("model=lagging_vae", "latent_dim=4"),
    "model/hierarchical_vae": ("bottom_dim=3", "top_dim=2"),
    **{f"{role}/hierarchical": ("model=hierarchical_vae",) for role in ("posterior", "prior", "decoder")},
    "turns/encoder_decoder": ("model=split_vae", "latent_dim=4"),
    "turns/autoencoder_discriminator": ("model=factor_vae", "latent_dim=4"),
    "turns/discriminator_autoencoder": ("model=wae_gan", "latent_dim=4"),
    "turns/adversarial_autoencoder": ("model=adversarial_autoencoder", "latent_dim=4"),
    "encoder/conv": (*VAE, "encoder.widths=[4,4]"),
    "encoder/rae": (*VAE, "encoder.widths=[4,4]"),
    "decoder/conv": (*VAE, "decoder.widths=[4,4]"),
    **{
        f"metrics/{score}": (*VAE, "data=shapes2d", "data.test_size=300", "data.factors.orientation=4")
        for score in FACTORED
    },
    "data/shapes2d": ("data.validate_size=50", "data.test_size=50"),
    "posterior/point": (*VAE, "variational=wae_mmd"),
    "posterior/von_mises_fisher": (*VAE, "prior=hypersphere"),
    "prior/hypersphere": (*VAE, "posterior=von_mises_fisher"),
    **{f"variational/{rae}": (*VAE, "posterior=point") for rae in ("rae_l2", "rae_gp")},
    **{f"variational/{one}": ("model=split_vae", "latent_dim=4") for one in ("dreg", "piwae")},
    "metrics/evidence_bound": VAE,
    "metrics/importance_nll": VAE,
    "metrics/annealed_importance": (*VAE, "metrics.annealed_importance.temperatures=3"),
    "metrics/amortisation_gap": (*VAE, "metrics.amortisation_gap.steps=3"),
    "metrics/rates": VAE,
    "metrics/code_use": VQ,
    "metrics/mutual_information": VAE,
}
ABSENT_HARDWARE = {"trainer/gpu", "trainer/ddp", "trainer/slurm_ddp"}
RANKS = {"trainer/ddp_cpu"}
SIZES = ("validate_size", "train_size", "test_size", "evaluation_size")
ABSENT_WEIGHTS = {"extractor/inception", "extractor/dinov2"}
ABSENT_FILES = {"data/cifar10", "data/dsprites"}
LISTS = {"penalty", "logger", "metrics"}


def overrides(option):
    group, _, name = option.partition("/")
    chosen = f"{group}=[{name}]" if group in LISTS and name != "none" else f"{group}={name}"
    small = [s for s in SMALL if not s.startswith(f"{group}=")]
    if group in ("experiment", "sweep"):
        small.append("budget=smoke")
    companions = COMPANIONS.get(option, VQ if group == "quantizer" else VAE if group in CODED else ())
    roles = tree().defaults(f"model/{model_of(group, [*companions, chosen], tree().defaults(option))}")
    return [*small, *companions, chosen, *(f"{role}.width=4" for role in NARROWED if role in roles)]


def model_of(group, chosen, defaults):
    """The model that the overrides or the file chooses, itself or by its experiment; else the default one."""
    given = dict(one.split("=", 1) for one in chosen)
    if "model" in given or group not in ("experiment", "sweep"):
        return given.get("model", "gan")
    experiment = tree().defaults(f"experiment/{defaults['experiment']}") if "experiment" in defaults else {}
    return defaults.get("model") or experiment.get("model", "gan")


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


@pytest.mark.parametrize("option", OPTIONS)
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
    if "factors" in config["data"]:
        config["data"] |= {"validate_size": 100, "test_size": 100}
    if folder := config["data"].get("folder"):
        if not Path(os.environ.get("DUOGEN_DATA", "/nonexistent"), folder).is_dir():
            pytest.skip(f"DUOGEN_DATA has no folder {folder}")
        config["data"] |= {name: 200 for name in SIZES if name in config["data"]}
        config["metrics"] = {
            name: node for name, node in config.get("metrics", {}).items() if name == "mutual_information"
        }
    assert resolve_and_run(config, option, tmp_path).record().steps == 2


def resolve_and_run(config, option, tmp_path):
    return run(resolve(config, option, ()), tmp_path / "run")


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("experiment/")])
@pytest.mark.parametrize("tier", ["smoke", "demo", "paper"])
def test_an_experiment_composes_on_every_budget_and_on_colour_images(option, tier):
    chosen = [f"experiment={option.partition('/')[2]}", f"budget={tier}", "trainer=cpu"]
    config = compose(chosen).config
    assert config["budget"]["tier"] == tier
    if len(config["data"]["shape"]) == 3 and "factors" not in config["data"]:
        pairs.refuse(compose([*chosen, "data=cifar10"]).config)


@pytest.mark.parametrize("generator", ["mlp", "dcgan"])
@pytest.mark.parametrize("discriminator", ["mlp", "dcgan"])
@pytest.mark.parametrize("penalty", ["[]", "[r1,r2]", "[gradient_penalty]"])
def test_pairs_of_deviations_train(generator, discriminator, penalty, tmp_path):
    chosen = [f"generator={generator}", f"discriminator={discriminator}", f"penalty={penalty}", "adversarial=hinge"]
    norm = ["discriminator.batch_norm=false"] if discriminator == "dcgan" else []
    narrow = [f"{role}.width=4" for role in NARROWED]
    config = compose([*SMALL, *chosen, *norm, *narrow, "turns=simultaneous"]).config
    pairs.refuse(config)
    assert run(resolve(config, "pair", ()), tmp_path / "run").record().steps == 2
