"""Codes that are normal, given an example."""

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from duogen.networks.encoder import Encoder
from duogen.networks.posteriors.posterior import Posterior

BOUND = 8.0


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


def diagonal(numbers: Tensor) -> Independent:
    """Means and unbounded log-variances side by side, (..., 2 Z), to N(mu, diag sigma^2) of event shape (Z,)."""
    mean, log_variance = numbers.chunk(2, -1)
    return Independent(Normal(mean, deviation(log_variance), validate_args=False), 1, validate_args=False)


def deviation(log_variance: Tensor) -> Tensor:
    """sigma = exp(4 tanh(s / 8)) of unbounded log-variances s, within (exp(-4), exp(4))."""
    return (BOUND / 2 * (log_variance / BOUND).tanh()).exp()
