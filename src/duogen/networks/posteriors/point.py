"""Codes without noise."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from duogen.errors import UserError
from duogen.networks.encoder import Encoder
from duogen.networks.posteriors.posterior import Posterior


class PointPosterior(Posterior):
    """q(z | x) is all at mu(x), affine in the encoder's features: a deterministic encoder, with no density.

    For objectives that need no rate: regularised and Wasserstein autoencoders.
    Source: Tolstikhin et al. 2018, section 3; Ghosh et al. 2020, section 3.
    """

    def __init__(self, encoder: Encoder, latent_dim: int) -> None:
        super().__init__()
        self.encoder, self.latent_dim = encoder, latent_dim
        self.head = nn.Linear(encoder.feature_dim, latent_dim)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Distribution:
        return Point(self.head(self.encoder(examples, labels)).float())


class Point(Distribution):
    """All mass at one point each, (N, Z): batch shape (N,), event shape (Z,).

    `log_prob` raises `UserError`: there is no density.
    """

    has_rsample = True

    def __init__(self, point: Tensor) -> None:
        super().__init__(point.shape[:-1], point.shape[-1:], validate_args=False)
        self.point = point

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @property
    def mean(self) -> Tensor:
        return self.point

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.point)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.point.expand(self._extended_shape(torch.Size(sample_shape)))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.rsample(sample_shape).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        allowed = "objectives without a rate: variational=wae_mmd, rae_l2 or rae_gp"
        given = "log q(z | x) and the rate of a deterministic encoder, which is no density"
        raise UserError(given, allowed, "use one of these, or posterior=gaussian")
