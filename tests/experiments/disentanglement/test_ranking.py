"""The ranking by models whose codes are known: posteriors that read the columns of an image."""

import json

import pytest
import torch
from experiments.disentanglement.ranking import encoded, examples, ranking
from torch.distributions import Independent, Normal

from duogen.complete import complete
from duogen.experiment.resolve import resolve
from duogen.modules.vae import VAE
from duogen.networks.decoder import Decoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.variational.elbo import Elbo

SIZES = ["data.shape=[1,8,8]", "data.factors={shape:3,scale:2,orientation:4,position_x:5,position_y:5}"]
SPLITS = ["data.validate_size=7", "data.test_size=200", "data.batch_size=4"]


class Read(Posterior):
    """Codes (N, 3) that are fixed mixtures of the pixels; the last says nothing."""

    def __init__(self, order):
        super().__init__()
        self.latent_dim, self.order = 3, order

    def forward(self, examples, labels=None):
        pixels = examples.flatten(1)
        weights = torch.linspace(-1, 1, 64)
        codes = torch.stack([pixels @ weights, pixels @ weights.roll(7).square(), torch.zeros(len(pixels))], 1)
        return Independent(Normal(codes[:, self.order], 1.0), 1)


class Blank(Decoder):
    def forward(self, code, labels=None):
        return torch.zeros(len(code), 1, 8, 8)


def vae(order):
    likelihood = Gaussian([1, 8, 8], 256, dequantise=False, sigma=1.0)
    return VAE(Read(order), StandardPrior(3), Blank(), likelihood, Elbo(1.0, 1), 3, None)


@pytest.fixture
def config(monkeypatch):
    found = resolve(complete(["model=vae", "data=shapes2d", *SIZES, *SPLITS], None, ()).config, "x", ())
    models = {"a": [0, 1, 2], "b": [2, 0, 1], "c": [1, 2, 0]}

    def restored(checkpoint, allow):
        name = checkpoint.parent.parent.name
        return vae(models[name]), found | {"data": found["data"] | {"seed": len(name)}}

    monkeypatch.setattr("experiments.disentanglement.ranking.restored", restored)
    examples.cache_clear()
    return found


def test_codes_are_means_and_what_says_nothing_is_not_informative(config, tmp_path):
    codes, informative = encoded(tmp_path / "b" / "checkpoints" / "last.ckpt")
    assert codes.shape == (200, 3)
    assert informative.tolist() == [False, True, True]
    assert (codes[:, 0] == 0).all()
    assert codes[:, 1].std() > 0.1


def test_models_that_are_alike_but_for_the_order_rank_high(config, tmp_path):
    found = ranking([tmp_path / name for name in "abc"])
    assert len(found) == 3
    assert min(found) > 0.8
    assert ranking([tmp_path / "a"]) == []


def test_the_seed_of_a_run_does_not_choose_the_examples(config):
    first = examples(json.dumps(config["data"] | {"seed": 0})).values
    examples.cache_clear()
    assert torch.equal(first, examples(json.dumps(config["data"] | {"seed": 5})).values)
