"""A model with codes that can be computed by hand: a code is what an image's columns hold."""

import torch
from torch.distributions import Independent, Normal

from duogen.data.splits import Split
from duogen.experiment.show import Scene
from duogen.modules.vae import VAE
from duogen.networks.decoder import Decoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.standard import StandardPrior
from duogen.objectives.variational.elbo import Elbo


class Columns(Posterior):
    """Examples (N, 1, 2, Z) to codes near four times the means of their columns."""

    def __init__(self, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, examples, labels=None):
        means = 4 * examples.mean((1, 2))
        return Independent(Normal(means, torch.full_like(means, 0.01)), 1)


class Repeat(Decoder):
    """Codes (N, Z) to images (N, 1, 2, Z) of a fourth, plus a tenth of the class."""

    def forward(self, code, labels=None):
        values = code[:, None, None].expand(-1, 1, 2, -1) / 4
        return values if labels is None else values + labels.view(-1, 1, 1, 1) / 10


class Shelf:
    def __init__(self, latent_dim):
        generator = torch.Generator().manual_seed(0)
        scale = torch.arange(1.0, latent_dim + 1)
        rows = (torch.randn(20, 1, 1, latent_dim, generator=generator) * scale / 10).clamp(-1, 1)
        self.splits = {"test": Split(rows.expand(-1, 1, 2, -1).contiguous(), torch.arange(20) % 4)}


def scene(latent_dim=3, classes=None):
    likelihood = Gaussian([1, 2, latent_dim], 256, dequantise=False, sigma=1.0)
    vae = VAE(Columns(latent_dim), StandardPrior(latent_dim), Repeat(), likelihood, Elbo(1.0, 1), latent_dim, classes)
    return Scene(vae, lambda: Shelf(latent_dim), torch.Generator().manual_seed(3))
