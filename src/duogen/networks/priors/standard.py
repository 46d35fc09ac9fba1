"""The prior of the first variational autoencoders."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from duogen.networks.priors.prior import Prior, Recognise


class StandardPrior(Prior):
    """p(z) = N(0, I), z (Z,). Source: Kingma and Welling 2014, section 3."""

    zeros: Tensor
    ones: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("ones", torch.ones(latent_dim), persistent=False)

    def forward(self, recognise: Recognise) -> Distribution:
        return Independent(Normal(self.zeros, self.ones, validate_args=False), 1, validate_args=False)
