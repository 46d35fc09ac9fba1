"""Priors that normalizing flows learn, with a density that takes one pass."""

from torch import nn
from torch.distributions import Distribution
from zuko.distributions import NormalizingFlow
from zuko.lazy import LazyTransform

from duogen.networks.posteriors.transforms import affine, autoregressive, couplings
from duogen.networks.priors.prior import Prior, Recognise
from duogen.networks.priors.standard import StandardPrior


class FlowPrior(Prior):
    """p(z) = N(f(z); 0, I) |det df / dz|, f learned: log p(z) takes one pass, a draw inverts f.

    Source: Chen et al. 2017 (variational lossy autoencoder), section 3.2.
    """

    def __init__(self, latent_dim: int, flow: LazyTransform) -> None:
        super().__init__()
        self.flow, self.normal = flow, StandardPrior(latent_dim)

    def forward(self, recognise: Recognise) -> Distribution:
        return NormalizingFlow(self.flow(None), self.normal(recognise))


class RealnvpPrior(FlowPrior):
    """f of `steps` couplings z'_b = exp(a(z_a)) z_b + b(z_a), the halves exchanged after each; a draw is one pass too.

    a and b are a network of `depth` hidden layers of `width` units. Source: Dinh et al. 2017, eq. 7.
    """

    def __init__(self, latent_dim: int, steps: int, width: int, depth: int, activation: nn.Module) -> None:
        super().__init__(latent_dim, couplings(latent_dim, 0, steps, width, depth, activation))


class MafPrior(FlowPrior):
    """f of `steps` masked networks, z'_d = exp(a(z_<d)) z_d + b(z_<d), the order turned round after each.

    A draw takes Z passes. Each network has `depth` hidden layers of `width` units, `width` at least Z.
    Source: Papamakarios et al. 2017, section 3.1.
    """

    def __init__(self, latent_dim: int, steps: int, width: int, depth: int, activation: nn.Module) -> None:
        super().__init__(latent_dim, autoregressive(latent_dim, 0, steps, width, depth, activation, affine))
