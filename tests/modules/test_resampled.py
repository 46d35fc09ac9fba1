"""A trained autoencoder whose codes come from elsewhere, on networks that can be computed by hand."""

import pytest
import torch
from torch.distributions import Independent, Normal

from duogen.errors import UserError
from duogen.modules.gan import GAN
from duogen.modules.resampled import Grids, Resampled, Vectors, encoding
from duogen.modules.vae import VAE
from duogen.networks.decoder import Decoder
from duogen.networks.dense import MlpEncoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.posteriors.von_mises_fisher import VonMisesFisherPosterior
from duogen.networks.priors.standard import StandardPrior
from duogen.networks.samplers.sampler import VectorSampler
from duogen.objectives.variational.elbo import Elbo
from duogen.records import Examples


class Columns(Posterior):
    """Examples (N, 1, 2, Z) to codes near four times the means of their columns."""

    def __init__(self):
        super().__init__()
        self.latent_dim = 3

    def forward(self, examples, labels=None):
        means = 4 * examples.mean((1, 2))
        return Independent(Normal(means, torch.full_like(means, 0.01)), 1)


class Repeat(Decoder):
    """Codes (N, Z) to images (N, 1, 2, Z) of an eighth, plus a tenth of the class."""

    def forward(self, code, labels=None):
        values = code[:, None, None].expand(-1, 1, 2, -1) / 8
        return values if labels is None else values + labels.view(-1, 1, 1, 1) / 10


class Halved(VectorSampler):
    """Codes that are the sums of pairs of noise, plus the class."""

    def __init__(self, classes):
        super().__init__(3, classes)
        self.noise_dim = 6

    def fit(self, codes, labels, generator):
        return ""

    def log_prob(self, codes, labels):
        return codes.sum(1)

    def forward(self, noise, labels):
        assert len(noise) <= 512
        codes = noise[:, :3] + noise[:, 3:]
        return codes if labels is None else codes + labels[:, None]


def vae(classes):
    likelihood = Gaussian([1, 2, 3], 256, dequantise=False, sigma=1.0)
    return VAE(Columns(), StandardPrior(3), Repeat(), likelihood, Elbo(1.0, 1), 3, classes)


def resampled(classes=None):
    return Resampled(Vectors(vae(classes)), Halved(classes))


def test_examples_are_decoded_from_what_the_sampler_makes_of_noise():
    module = resampled()
    noise = module.drawn(700, torch.Generator().manual_seed(0))
    assert noise.shape == (700, 6)
    expected = ((noise[:, :3] + noise[:, 3:]) / 8)[:, None, None].expand(-1, 1, 2, -1).clamp(-1, 1)
    assert torch.allclose(module.generate(noise), expected, atol=1e-6)


def test_sampler_and_decoder_are_told_the_class():
    module = resampled(classes=4)
    noise, labels = torch.randn(5, 6) / 9, torch.tensor([0, 3, 1, 2, 2])
    apart = module.generate(noise, labels) - module.generate(noise, torch.zeros(5, dtype=torch.long))
    assert torch.allclose(apart[:, 0, 0, 0], labels * (1 / 8 + 1 / 10), atol=1e-6)
    drawn = module.samples(9, torch.Generator().manual_seed(0))
    assert drawn.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_a_batch_has_counterparts_of_its_classes():
    batch = Examples(torch.zeros(4, 1, 2, 3), torch.tensor([3, 0, 1, 3]))
    assert torch.equal(resampled(4).counterparts(batch, torch.Generator().manual_seed(1)).labels, batch.labels)
    assert resampled(None).counterparts(batch, torch.Generator().manual_seed(1)).labels is None


def test_what_the_autoencoder_says_of_examples_stays():
    module, example = resampled(), Examples(torch.full((2, 1, 2, 3), 0.25))
    with module.inference() as model:
        assert torch.allclose(model.recognised(example).mean, torch.ones(2, 3))
    assert (module.owner, list(module.evaluated)) == ("vae", ["autoencoder"])
    assert module.averaged("autoencoder") is module.trained.autoencoder
    assert set(module.objectives) == set(module.players)


def test_codes_are_drawn_of_the_generator_alone_batch_after_batch():
    batches = [Examples(torch.rand(size, 1, 2, 3) / 4, torch.arange(size) % 4) for size in (3, 2)]
    to = Vectors(vae(4))
    first, labels = to.encode(batches, torch.Generator().manual_seed(1))
    torch.randn(5)
    again, _ = to.encode(batches, torch.Generator().manual_seed(1))
    other, _ = to.encode(batches, torch.Generator().manual_seed(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.allclose(first, 4 * torch.cat([batch.values for batch in batches]).mean((1, 2)), atol=0.1)
    assert labels.tolist() == [0, 1, 2, 0, 1]
    assert Vectors(vae(None)).encode(batches, torch.Generator())[1] is None


def test_a_module_without_codes_is_refused():
    with pytest.raises(UserError, match="sampler=flow with a checkpoint of GAN") as caught:
        encoding(GAN.__new__(GAN), "sampler=flow", None)
    assert "VQ-VAE" in caught.value.allowed


def test_the_classes_of_grids_are_the_datas_and_of_vectors_the_modules():
    assert isinstance(encoding(vae(4), "", 10), Vectors)
    assert encoding(vae(4), "", 10).classes == 4
    assert encoding(vae(None), "", 10).classes is None
    assert Grids.kind is not Vectors.kind


def test_codes_on_a_sphere_are_refused():
    module = vae(None)
    module.autoencoder.posterior = VonMisesFisherPosterior(MlpEncoder([1, 2, 3], 4, 1, torch.nn.ReLU(), None), 3)
    with pytest.raises(UserError, match="sampler=flow with a checkpoint whose codes lie on a sphere"):
        encoding(module, "sampler=flow", None)
