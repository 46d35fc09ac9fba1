"""The prior of codes of two stochastic layers."""

from torch import Tensor, nn
from torch.distributions import Distribution

from duogen.networks.posteriors.gaussian import diagonal
from duogen.networks.posteriors.joint import Downward, between, top_of
from duogen.networks.priors.prior import Prior, Recognise
from duogen.networks.priors.standard import StandardPrior


class HierarchicalPrior(Prior):
    """p(h1, h2) = p(h2) p(h1 | h2), p(h2) = N(0, I), p(h1 | h2) a diagonal Gaussian, as one code z = (h1, h2).

    Args:
        latent_dim: Z1 + Z2.
        bottom_dim: Z1, of h1: 0 < Z1 < latent_dim.
        width, depth: of the hidden layers from h2 to h1.
        activation: that follows each of them.
    Raises `UserError` for a layer without dimensions. Source: Burda et al. 2016, eq. 1, section 5.
    """

    def __init__(self, latent_dim: int, bottom_dim: int, width: int, depth: int, activation: nn.Module) -> None:
        super().__init__()
        top_dim = top_of(latent_dim, bottom_dim)
        self.latent_dim = latent_dim
        self.downward = between(top_dim, bottom_dim, width, depth, activation)
        self.top = StandardPrior(top_dim)

    def forward(self, recognise: Recognise) -> Distribution:
        return Downward(self.top(recognise), self.bottom, self.latent_dim)

    def bottom(self, top: Tensor) -> Distribution:
        """p(h1 | h2), h2 (..., Z2)."""
        return diagonal(self.downward(top).float())
