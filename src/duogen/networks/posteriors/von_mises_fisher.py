"""Codes on a sphere, around a direction, given an example."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.distributions.kl import register_kl
from torch.nn import functional

from duogen.errors import UserError
from duogen.networks.encoder import Encoder
from duogen.networks.posteriors.polar import Polar, gauss_legendre
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.hypersphere import HypersphericalUniform, log_area

MOST = 3000.0


class VonMisesFisherPosterior(Posterior):
    """q(z | x) = vMF(mu(x), kappa(x)) on the sphere S^{Z-1} of codes of length 1, kappa = 1 + softplus(s).

    mu's direction and s are affine in the encoder's features; kappa - 1 is held softly within 3000.
    Raises `UserError` for fewer than two dimensions. Source: Davidson et al. 2018, section 3.
    """

    rule: Tensor

    def __init__(self, encoder: Encoder, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 2:
            given = f"VonMisesFisherPosterior: latent_dim={latent_dim}"
            raise UserError(given, "2 or more, for a circle or a sphere", "set latent_dim to 2 or more")
        self.encoder, self.latent_dim = encoder, latent_dim
        self.head = nn.Linear(encoder.feature_dim, latent_dim + 1)
        self.register_buffer("rule", gauss_legendre(), persistent=False)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Distribution:
        direction, number = self.head(self.encoder(examples, labels)).float().tensor_split((self.latent_dim,), 1)
        concentration = 1 + MOST * (functional.softplus(number[:, 0]) / MOST).tanh()
        return VonMisesFisher(functional.normalize(direction, dim=1), concentration, self.rule)


class VonMisesFisher(Distribution):
    """p(z) = C_Z(kappa) exp(kappa mu^T z) for z (Z,) of length 1, Z >= 2.

    log C_Z(kappa) = (Z/2 - 1) log kappa - (Z/2) log 2 pi - log I_{Z/2-1}(kappa), by quadrature over the angle to mu.
    Draws take that angle from Polar and turn it into a uniform direction around mu; they are differentiable in mu by
    the path and in kappa by implicit reparameterisation.

    Args:
        direction: mu (..., Z), of length 1.
        concentration: kappa (...,), > 0.
        rule: nodes and weights of a quadrature on [-1, 1], (2, Q).
    Source: Davidson et al. 2018, eq. 2 and section 3.
    """

    has_rsample = True

    def __init__(self, direction: Tensor, concentration: Tensor, rule: Tensor) -> None:
        super().__init__(direction.shape[:-1], direction.shape[-1:], validate_args=False)
        self.direction, self.concentration = direction, concentration
        self.polar = Polar(direction.shape[-1], concentration.double(), rule.double())
        self.log_constant = -self.polar.log_normaliser - log_area(direction.shape[-1] - 1)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @property
    def mean(self) -> Tensor:
        """A_Z(kappa) mu, (..., Z)."""
        return self.polar.mean_cosine.to(self.direction).unsqueeze(-1) * self.direction

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        angle = self.polar.rsample(torch.Size(sample_shape)).to(self.direction).unsqueeze(-1)
        noise = torch.randn(
            self._extended_shape(torch.Size(sample_shape)), dtype=self.direction.dtype, device=self.direction.device
        )
        across = noise - (noise * self.direction).sum(-1, keepdim=True) * self.direction
        return angle.cos() * self.direction + angle.sin() * functional.normalize(across, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Of values (..., Z) of length 1; mu^T z - 1 is taken as -|z - mu|^2 / 2, which loses no digits."""
        gap = (value - self.direction).square().sum(-1) / 2
        return (self.log_constant - self.concentration.double() * gap).to(value)

    def entropy(self) -> Tensor:
        """-log C - kappa A, in nats."""
        return (self.concentration.double() * (1 - self.polar.mean_cosine) - self.log_constant).to(self.direction)


@register_kl(VonMisesFisher, HypersphericalUniform)
def to_uniform(posterior: VonMisesFisher, prior: HypersphericalUniform) -> Tensor:
    """KL(vMF(mu, kappa) || U(S^{Z-1})) = kappa A_Z(kappa) + log C_Z(kappa) + log |S^{Z-1}| in nats, of the batch shape.

    Source: Davidson et al. 2018, eq. 5.
    """
    return log_area(prior.event_shape[0]) - posterior.entropy()
