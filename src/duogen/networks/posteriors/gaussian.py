"""Codes that are normal, given an example."""

import math
from collections.abc import Sequence

from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from duogen.networks.encoder import Encoder
from duogen.networks.posteriors.posterior import Posterior

BOUND = 8.0
HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2


class GaussianPosterior(Posterior):
    """q(z | x) = N(mu(x), diag sigma(x)^2), mu and log sigma^2 affine in the encoder's features.

    log sigma^2 is held softly within [-8, 8], 8 tanh(s / 8), so that no variance is 0 or infinite.
    Source: Kingma and Welling 2014, section 3 and appendix C.2.
    """

    def __init__(self, encoder: Encoder, latent_dim: int) -> None:
        super().__init__()
        self.encoder, self.latent_dim = encoder, latent_dim
        self.head = nn.Linear(encoder.feature_dim, 2 * latent_dim)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Distribution:
        return diagonal(self.head(self.encoder(examples, labels)).float())


class Gaussian(Normal):
    """N(mu, sigma^2) given by mu and log sigma, of one shape: no logarithm is taken of an exponential."""

    def __init__(self, mean: Tensor, log_sigma: Tensor) -> None:
        self.loc, self.scale, self.log_sigma = mean, log_sigma.exp(), log_sigma
        Distribution.__init__(self, mean.shape, validate_args=False)

    def expand(self, batch_shape: Size | Sequence[int], _instance: object = None) -> "Gaussian":
        return Gaussian(self.loc.expand(batch_shape), self.log_sigma.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return -0.5 * ((value - self.loc) / self.scale).square() - self.log_sigma - HALF_LOG_TWO_PI


def diagonal(numbers: Tensor) -> Independent:
    """Means and unbounded log-variances side by side, (..., 2 Z), to N(mu, diag sigma^2) of event shape (Z,)."""
    mean, log_variance = numbers.chunk(2, -1)
    return Independent(Gaussian(mean, log_deviation(log_variance)), 1, validate_args=False)


def log_deviation(log_variance: Tensor) -> Tensor:
    """log sigma = 4 tanh(s / 8) of unbounded log-variances s, within (-4, 4)."""
    return BOUND / 2 * (log_variance / BOUND).tanh()


def deviation(log_variance: Tensor) -> Tensor:
    """sigma = exp(4 tanh(s / 8)), within (exp(-4), exp(4))."""
    return log_deviation(log_variance).exp()
