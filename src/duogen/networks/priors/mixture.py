"""Priors that are a few normal distributions."""

import torch
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from duogen.errors import require_at_least
from duogen.networks.posteriors.gaussian import deviation
from duogen.networks.priors.prior import Prior, Recognise


class MixturePrior(Prior):
    """p(z) = sum_k w_k N(z; m_k, diag s_k^2), weights, means and deviations learned.

    Means start from N(0, spread^2), deviations from 1, weights equal; log s_k^2 is held softly within [-8, 8].

    Args:
        latent_dim: Z.
        components: K, >= 1.
        spread: > 0; components that start alike stay alike.
    Raises `UserError` for no components. Source: Tomczak and Welling 2018, section 5, "MoG".
    """

    def __init__(self, latent_dim: int, components: int, spread: float) -> None:
        super().__init__()
        require_at_least(1, "MixturePrior", components=components)
        self.means = nn.Parameter(spread * torch.randn(components, latent_dim))
        self.log_variances = nn.Parameter(torch.zeros(components, latent_dim))
        self.logits = nn.Parameter(torch.zeros(components))

    def forward(self, recognise: Recognise) -> Distribution:
        normals = Normal(self.means, deviation(self.log_variances), validate_args=False)
        shares = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(shares, Independent(normals, 1, validate_args=False), validate_args=False)
