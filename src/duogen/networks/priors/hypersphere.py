"""The prior of codes on a sphere."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.nn import functional

from duogen.networks.priors.prior import Prior, Recognise


class HyperspherePrior(Prior):
    """p(z) = 1 / |S^{Z-1}| for z (Z,) of length 1. Source: Davidson et al. 2018, section 3.3."""

    origin: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("origin", torch.zeros(latent_dim), persistent=False)

    def forward(self, recognise: Recognise) -> Distribution:
        return HypersphericalUniform(self.origin)


class HypersphericalUniform(Distribution):
    """Points of length 1 around `origin` (Z,), zeros on the device on which to draw; every direction is as likely."""

    def __init__(self, origin: Tensor) -> None:
        super().__init__(torch.Size(), origin.shape, validate_args=False)
        self.origin = origin

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.origin.dtype, device=self.origin.device)
        return functional.normalize(noise, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """-log |S^{Z-1}|, (...), of values (..., Z) of length 1."""
        return value.new_full(value.shape[:-1], -log_area(self.origin.shape[0]))


def log_area(dimension: int) -> float:
    """log |S^{m-1}| = log(2 pi^{m/2} / Gamma(m/2)), of the sphere in m dimensions, >= 1."""
    return math.log(2) + dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2)
