"""Codes of two stochastic layers, given an example."""

from torch import Tensor, nn
from torch.distributions import Distribution

from duogen.networks.encoder import Encoder
from duogen.networks.posteriors.gaussian import diagonal
from duogen.networks.posteriors.joint import Upward, between, top_of
from duogen.networks.posteriors.posterior import Posterior


class HierarchicalPosterior(Posterior):
    """q(h1, h2 | x) = q(h1 | x) q(h2 | h1), both diagonal Gaussians, as one code z = (h1, h2).

    q(h1 | x) is a head on the encoder's features, q(h2 | h1) a network of its own. There is no closed form of the rate
    against any prior: objectives estimate it by the draws. Log-variances are held as in GaussianPosterior.

    Args:
        encoder: examples to features.
        latent_dim: Z1 + Z2.
        bottom_dim: Z1, of h1, the layer that the decoder sees: 0 < Z1 < latent_dim.
        width, depth: of the hidden layers from h1 to h2.
        activation: that follows each of them.
    Raises `UserError` for a layer without dimensions. Source: Burda et al. 2016, eq. 2 and 3, section 5.
    """

    def __init__(
        self, encoder: Encoder, latent_dim: int, bottom_dim: int, width: int, depth: int, activation: nn.Module
    ) -> None:
        super().__init__()
        self.encoder, self.latent_dim = encoder, latent_dim
        self.head = nn.Linear(encoder.feature_dim, 2 * bottom_dim)
        self.upward = between(bottom_dim, top_of(latent_dim, bottom_dim), width, depth, activation)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Distribution:
        bottom = diagonal(self.head(self.encoder(examples, labels)).float())
        return Upward(bottom, self.top, self.latent_dim)

    def top(self, bottom: Tensor) -> Distribution:
        """q(h2 | h1), h1 (..., Z1)."""
        return diagonal(self.upward(bottom).float())
