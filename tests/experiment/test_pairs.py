import copy

import pytest

from duogen.compose import compose
from duogen.conftree import conf_dir
from duogen.errors import UserError
from duogen.experiment.pairs import Row, refuse, rows

CONFIG = {
    "seed": 0,
    "data": {"classes": 10},
    "classes": 10,
    "metrics": {},
    "discriminator": {
        "_target_": "duogen.networks.images.DcganDiscriminator",
        "batch_norm": False,
        "spectral_norm": False,
        "equalized": False,
    },
    "adversarial": {"_target_": "duogen.objectives.adversarial.Hinge"},
    "augmentation": None,
    "conditioning": None,
    "penalties": {},
    "posterior": None,
    "prior": None,
    "likelihood": None,
    "quantizer": None,
    "variational": None,
    "model": {"_target_": "duogen.modules.gan.GAN", "weight_clip": None},
    "turns": {
        "_target_": "duogen.modules.turns.Alternate",
        "discriminator": {"player": "discriminator", "accumulate": 1},
        "generator": {"player": "generator", "accumulate": 1},
    },
    "optimizers": {"generator": {"lr": 0.1}, "discriminator": {"lr": 0.1}},
    "trainer": {"precision": 32},
}
WASSERSTEIN, BEGAN, ENERGY = (
    {"adversarial._target_": f"duogen.objectives.adversarial.{name}"}
    for name in ("Wasserstein", "Began", "EnergyBased")
)
AUTOENCODER = {"discriminator._target_": "duogen.networks.autoencoder.AutoencoderDiscriminator"}
CONDITIONED = {"conditioning": {"_target_": "duogen.networks.conditional.Projection"}}
INFOGAN = {"model._target_": "duogen.modules.infogan.InfoGAN"}
ADA = {"augmentation": {"_target_": "duogen.augmentations.ada.Ada"}}
MIXED = {"trainer.precision": "16-mixed"}
PENALTIES = {
    name: {f"penalties.{name}": {"weight": 10.0}} for name in ("gradient_penalty", "r1", "r2", "dragan", "path_length")
}
SLOPES = [PENALTIES[name] for name in ("gradient_penalty", "r1", "r2", "dragan")]
CLIPPED, SPECTRAL = {"model.weight_clip": 0.01}, {"discriminator.spectral_norm": True}
EQUALIZED = {"discriminator.equalized": True}
NORMED = {"discriminator.batch_norm": True}
ACCUMULATED = {"turns.generator.accumulate": 4}
LAZY, LAZY_PATH = ({f"turns.{player}_penalties": {"player": player}} for player in ("discriminator", "generator"))


def of(role, target, **settings):
    """A role of a VAE as a class below its package."""
    package = "duogen.objectives.variational" if role == "variational" else f"duogen.networks.{PACKAGES[role]}"
    return {role: {"_target_": f"{package}.{target}", **settings}}


PACKAGES = {"posterior": "posteriors", "prior": "priors", "likelihood": "likelihoods"}
GAUSSIANS = ["gaussian.Gaussian", "gaussian.SharedGaussian", "learned_gaussian.LearnedGaussian", "sigma_vae.SigmaVae"]
TOYS = ["mixtures.GaussianMixture", "toys.SwissRoll", "toys.TwoMoons", "toys.Checkerboard"]
POINT, STANDARD = of("posterior", "point.PointPosterior"), of("prior", "standard.StandardPrior")
VAMP = of("prior", "vamp.VampPrior") | {"classes": None}
BERNOULLI, CATEGORICAL = of("likelihood", "bernoulli.Bernoulli"), of("likelihood", "categorical.Categorical")
RAES, WAE, DREG = (
    [of("variational", f"rae.{name}") for name in ("RaeL2", "RaeGp")],
    of("variational", "wae_mmd.WaeMmd"),
    of("variational", "dreg.Dreg"),
)
PLAIN = of("variational", "distortion.Distortion")
SPHERICAL = of("posterior", "von_mises_fisher.VonMisesFisherPosterior")
SPHERE = of("prior", "hypersphere.HyperspherePrior")
LAGGING = {"turns": {"_target_": "duogen.modules.lagging_vae.Lagging"}}
LAGGED = {"model": {"_target_": "duogen.modules.lagging_vae.LaggingVAE"}}
FACTORS = {"metrics.mig": {"factors": None}}
NORMAL = of("posterior", "gaussian.GaussianPosterior")
ANNEALED = {"metrics.annealed_importance": {"draws": 9, "from_posterior": False}}
UNCHECKED = {"metrics.annealed_importance": {"draws": None, "from_posterior": False}}
AMORTISED, RATES = {"metrics.amortisation_gap": {"steps": 9}}, {"metrics.rates": {"latent_dim": 4}}


def unbounded(learned):
    """A learned sigma on grey levels without noise, and what passes beside it."""
    return (
        of("likelihood", learned, dequantise=False),
        [learned.rpartition(".")[2], "dequantise=false"],
        "likelihood.dequantise=true",
        [of("likelihood", learned, dequantise=True), of("likelihood", GAUSSIANS[0], dequantise=False)],
    )


BOUNDS = ["Wasserstein", "penalties.gradient_penalty", "penalties.r1", *CLIPPED, "discriminator.spectral_norm=true"]
UNNORM = "discriminator.batch_norm=false"

# Per row of the table, one case or a list of them: the config that it refuses, words of both sides, of the remedy, and
# the configs next to it that pass.
ROWS = [
    (
        WASSERSTEIN,
        BOUNDS,
        "model.weight_clip=0.01",
        [*(WASSERSTEIN | bound for bound in (*SLOPES, CLIPPED, SPECTRAL)), CLIPPED],
    ),
    *((slope | NORMED, [*slope, "discriminator.batch_norm=true"], UNNORM, [slope, NORMED]) for slope in SLOPES),
    (BEGAN, ["Began", "AutoencoderDiscriminator"], "discriminator=autoencoder", [BEGAN | AUTOENCODER]),
    (ENERGY, ["EnergyBased", "AutoencoderDiscriminator"], "discriminator=autoencoder", [ENERGY | AUTOENCODER]),
    (AUTOENCODER, ["AutoencoderDiscriminator", "Began"], "adversarial=began", [BEGAN | AUTOENCODER]),
    (AUTOENCODER | BEGAN | CONDITIONED, ["AutoencoderDiscriminator", "conditioning"], "model=gan", [CONDITIONED]),
    (AUTOENCODER | BEGAN | INFOGAN, ["AutoencoderDiscriminator", "InfoGAN"], "dcgan", [INFOGAN]),
    (AUTOENCODER | BEGAN | ADA, ["AutoencoderDiscriminator", "Ada"], "diffaugment", [ADA]),
    (CONDITIONED | {"data.classes": None}, ["conditioning", "data.classes"], "model=gan", [CONDITIONED]),
    *(
        (
            {f"metrics.{name}": {"k": 1}, "classes": None},
            [f"metrics.{name}", "classes"],
            "model=conditional_gan",
            [{f"metrics.{name}": {"k": 1}}, {"classes": None}],
        )
        for name in ("intra_class_frechet", "classifier_accuracy")
    ),
    (LAZY, ["turns.discriminator_penalties", "penalties.r1"], "penalty=[r1]", [LAZY | slope for slope in SLOPES]),
    (
        LAZY_PATH,
        ["turns.generator_penalties", "penalties.path_length"],
        "penalty=[path_length]",
        [LAZY_PATH | PENALTIES["path_length"]],
    ),
    (CLIPPED | SPECTRAL, [*CLIPPED, "spectral_norm=true"], "model.weight_clip=null", [CLIPPED, SPECTRAL]),
    (CLIPPED | EQUALIZED, [*CLIPPED, "equalized=true"], "model.weight_clip=null", [CLIPPED, EQUALIZED]),
    (
        MIXED | ACCUMULATED,
        ["trainer.precision=16-mixed", "turns.generator.accumulate=4", "optimizers"],
        "trainer.precision=bf16-mixed",
        [
            MIXED,
            ACCUMULATED,
            ACCUMULATED | {"trainer.precision": "bf16-mixed"},
            MIXED | ACCUMULATED | {"optimizers": {"autoencoder": {"lr": 0.1}}},
        ],
    ),
    [unbounded(learned) for learned in (GAUSSIANS[2], GAUSSIANS[1])],
    unbounded(GAUSSIANS[3]),
    [
        (
            {"data": {"_target_": f"duogen.data.{toy}"}} | BERNOULLI,
            [toy.rpartition(".")[2], "likelihood"],
            "likelihood=gaussian",
            [BERNOULLI, *({"data": {"_target_": f"duogen.data.{toy}"}} | of("likelihood", one) for one in GAUSSIANS)],
        )
        for toy in TOYS
    ],
    (FACTORS, ["metrics.mig.factors"], "data=shapes2d", [{"metrics.mig": {"factors": {"x": 3}}}]),
    (POINT, ["PointPosterior", "WaeMmd"], "posterior=gaussian", [POINT | RAES[0], POINT | WAE, POINT | PLAIN]),
    [(rae, ["Rae", "PointPosterior"], "posterior=point", [rae | POINT]) for rae in RAES],
    [(rae | POINT | VAMP, ["Rae", "StandardPrior"], "prior=standard", [rae | POINT | STANDARD, VAMP]) for rae in RAES],
    (RAES[1] | POINT | CATEGORICAL, ["RaeGp", "Categorical"], "variational=rae_l2", [RAES[0] | POINT | CATEGORICAL]),
    [
        (WAE | prior, ["WaeMmd", "Prior"], "variational=elbo", [WAE | STANDARD, prior])
        for prior in (of("prior", "mixture.MixturePrior"), VAMP)
    ],
    (DREG | VAMP, ["Dreg", "VampPrior"], "variational=iwae", [DREG | STANDARD, VAMP]),
    (SPHERICAL, ["VonMisesFisher", "HyperspherePrior"], "prior=hypersphere", [SPHERICAL | SPHERE, SPHERICAL | VAMP]),
    (SPHERE, ["HyperspherePrior", "VonMisesFisher"], "posterior=von_mises_fisher", [SPHERICAL | SPHERE]),
    (of("prior", "vamp.VampPrior"), ["VampPrior", "classes"], "classes=null", [VAMP]),
    (PLAIN | VAMP, ["Distortion", "StandardPrior"], "prior=standard", [PLAIN | STANDARD, VAMP]),
    (LAGGING, ["Lagging"], "model=lagging_vae", [LAGGING | LAGGED | NORMAL]),
    (
        LAGGED,
        ["LaggingVAE", "GaussianPosterior"],
        "posterior=gaussian",
        [LAGGED | NORMAL],
    ),
    (ANNEALED | SPHERICAL | SPHERE, ["annealed_importance", "VonMisesFisher"], "posterior=gaussian", [ANNEALED]),
    [
        (AMORTISED | one, ["amortisation_gap", "Posterior"], "posterior=gaussian", [AMORTISED | NORMAL])
        for one in (SPHERICAL | SPHERE, POINT | WAE)
    ],
    (
        POINT | WAE | ANNEALED,
        ["annealed_importance.draws=9", "PointPosterior"],
        "metrics.annealed_importance.draws=null",
        [ANNEALED | NORMAL, POINT | WAE | UNCHECKED],
    ),
    (
        POINT | WAE | {"metrics.annealed_importance": {"draws": None, "from_posterior": True}},
        ["annealed_importance.from_posterior=true", "PointPosterior"],
        "metrics.annealed_importance.from_posterior=false",
        [POINT | WAE | UNCHECKED],
    ),
    (RATES | of("posterior", "flows.Iaf"), ["metrics.rates", "posterior"], "posterior=gaussian", [RATES | NORMAL]),
    (RATES | NORMAL | VAMP, ["metrics.rates", "prior"], "prior=standard", [RATES | NORMAL | STANDARD]),
    (
        {"metrics.code_use": {"shape": [4]}},
        ["metrics.code_use"],
        "model=vq_vae",
        [{"metrics.code_use": {"shape": [4]}, "quantizer": {"size": 8}}],
    ),
]
CASES_OF = [row if isinstance(row, list) else [row] for row in ROWS]
CASES = [case for cases in CASES_OF for case in cases]
TABLE = rows(conf_dir() / "pairs.yaml")


def changed(changes):
    config = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        *parents, last = path.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value
    return config


def test_every_row_of_the_table_has_its_case():
    assert len(CASES_OF) == len(TABLE) >= 5
    for row, cases in zip(TABLE, CASES_OF, strict=True):
        assert cases
        for refusal, _, _, acceptances in cases:
            assert row.refuses(changed(refusal))
            assert acceptances
            assert not any(row.refuses(changed(changes)) for changes in acceptances)


def test_the_default_passes():
    refuse(CONFIG)


@pytest.mark.parametrize(("changes", "sides", "remedy"), [case[:3] for case in CASES])
def test_a_pair_is_refused_with_both_sides_and_the_remedy(changes, sides, remedy):
    with pytest.raises(UserError) as caught:
        refuse(changed(changes))
    assert [side for side in sides if side not in caught.value.given] == []
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("changes", [changes for case in CASES for changes in case[3]])
def test_the_pair_beside_it_passes(changes):
    refuse(changed(changes))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: next(iter(row.given)))
def test_every_path_of_the_table_is_one_of_the_config(row):
    top = {path.split(".")[0] for conditions in (row.given, *row.needs_any) for path in conditions}
    assert top <= set(CONFIG)
    assert row.because
    assert row.remedy


@pytest.mark.parametrize("key", CONFIG)
@pytest.mark.parametrize("instead", ["nothing", None, 3, "x", [], {}, {"a": 1}])
@pytest.mark.parametrize("changes", [{}, WASSERSTEIN | CLIPPED, MIXED | ACCUMULATED])
def test_a_config_of_another_shape_does_not_break_the_rules(key, instead, changes):
    config = changed(changes) | {key: instead}
    if instead == "nothing":
        del config[key]
    refusals = [row.error(config) for row in TABLE if row.refuses(config)]
    assert all(isinstance(refusal, UserError) for refusal in refusals)
    refuse({})


@pytest.mark.parametrize(
    ("overrides", "mended"),
    [
        (["adversarial=wasserstein"], ["model.weight_clip=0.01"]),
        (["adversarial=wasserstein"], ["penalty=[gradient_penalty]", UNNORM]),
        (["adversarial=wasserstein"], ["discriminator.spectral_norm=true"]),
        (["penalty=[gradient_penalty]"], [UNNORM]),
        (["penalty=[r1]"], [UNNORM]),
        (["penalty=[r2]"], [UNNORM]),
        (["penalty=[dragan]"], [UNNORM]),
        (["adversarial=began"], ["discriminator=autoencoder"]),
        (["discriminator=autoencoder"], ["adversarial=energy_based"]),
        (["turns=lazy"], ["penalty=[r1]", UNNORM]),
        (["turns=lazy_path"], ["penalty=[r1,path_length]", UNNORM]),
        (["model=conditional_gan", "data=ring", "data.classes=null"], ["data.classes=8"]),
        (["model.weight_clip=0.01", "discriminator.spectral_norm=true"], ["model.weight_clip=null"]),
        (["trainer.precision=16-mixed", "turns.generator.accumulate=4"], ["trainer.precision=bf16-mixed"]),
    ],
)
def test_the_shipped_configs_are_refused_and_the_remedy_helps(overrides, mended):
    shipped = ["model=gan", "generator=dcgan", "discriminator=dcgan"]
    with pytest.raises(UserError):
        refuse(compose([*shipped, *overrides]).config)
    refuse(compose([*shipped, *overrides, *mended]).config)


@pytest.mark.parametrize(
    ("given", "needs_any", "config", "expected"),
    [
        ({"a.b": 3}, (), {"a": {"b": 3}}, True),
        ({"a.b": 3}, (), {"a": {"b": 5}}, False),
        ({"a.b": 3}, (), {"a": 3}, False),
        ({"a": "set"}, (), {"a": {}}, True),
        ({"a": "set"}, (), {"a": 0}, True),
        ({"a": "set"}, (), {"a": None}, False),
        ({"a": "set"}, (), {}, False),
        ({"*.b": 3}, (), {"a": {"b": 1}, "c": {"b": 3}}, True),
        ({"*.b": 3}, (), {"a": {"b": 1}, "c": [3]}, False),
        ({"a": {"more_than": 1}}, (), {"a": 2}, True),
        ({"a": {"more_than": 1}}, (), {"a": 1}, False),
        ({"a": {"more_than": 1}}, (), {"a": "2"}, False),
        ({"a": {"more_than": 1}}, (), {"a": {"x": 1, "y": 1}}, True),
        ({"a": {"more_than": 1}}, (), {"a": {"x": 1}}, False),
        ({"a": 3, "b": 5}, (), {"a": 3, "b": 5}, True),
        ({"a": 3, "b": 5}, (), {"a": 3, "b": 7}, False),
        ({"a": 3}, ({"b": 5}, {"c": 7}), {"a": 3, "c": 7}, False),
        ({"a": 3}, ({"b": 5, "c": 7},), {"a": 3, "c": 7}, True),
    ],
)
def test_the_language_of_the_table(given, needs_any, config, expected):
    assert Row(given=given, needs_any=needs_any, because="of it", remedy="leave it").refuses(config) is expected
