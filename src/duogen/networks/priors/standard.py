"""The prior of the first variational autoencoders."""

from collections.abc import Sequence

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.distributions.kl import register_kl

from duogen.networks.posteriors.gaussian import Gaussian
from duogen.networks.priors.prior import Prior, Recognise


class StandardNormal(Normal):
    """N(0, 1) of one shape, given as zeros and ones."""

    def __init__(self, zeros: Tensor, ones: Tensor) -> None:
        self.loc, self.scale = zeros, ones
        Distribution.__init__(self, zeros.shape, validate_args=False)

    def expand(self, batch_shape: Size | Sequence[int], _instance: object = None) -> "StandardNormal":
        return StandardNormal(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


@register_kl(Gaussian, StandardNormal)
def gaussian_to_standard(posterior: Gaussian, prior: StandardNormal) -> Tensor:
    """(mu^2 + sigma^2 - 1) / 2 - log sigma. Source: Kingma and Welling 2014, appendix B."""
    return 0.5 * (posterior.loc.square() + posterior.scale.square() - 1) - posterior.log_sigma


class StandardPrior(Prior):
    """p(z) = N(0, I), z (Z,). Source: Kingma and Welling 2014, section 3."""

    zeros: Tensor
    ones: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("ones", torch.ones(latent_dim), persistent=False)

    def forward(self, recognise: Recognise) -> Distribution:
        return Independent(StandardNormal(self.zeros, self.ones), 1, validate_args=False)
