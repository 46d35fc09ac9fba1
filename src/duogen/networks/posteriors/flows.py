"""Codes that a normalizing flow has moved, given an example."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from zuko.lazy import LazyTransform
from zuko.transforms import ComposedTransform

from duogen.networks.encoder import Encoder
from duogen.networks.posteriors.gaussian import diagonal
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.posteriors.transforms import Planars, affine, autoregressive, couplings, gated


class FlowPosterior(Posterior):
    """q(z | x): z = f(z_0; h(x)), z_0 ~ N(mu(x), diag sigma(x)^2), h the encoder's features, f invertible in z_0.

    log q(z | x) = log q(z_0 | x) - log |det df / dz_0|, known at once for what `rsample` gave; elsewhere f is inverted.
    Source: Rezende and Mohamed 2015, section 4.
    """

    def __init__(self, encoder: Encoder, latent_dim: int, flow: LazyTransform) -> None:
        super().__init__()
        self.encoder, self.latent_dim, self.flow = encoder, latent_dim, flow
        self.head = nn.Linear(encoder.feature_dim, 2 * latent_dim)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Distribution:
        features = self.encoder(examples, labels)
        return Flowed(diagonal(self.head(features).float()), self.flow(features))


class PlanarPosterior(FlowPosterior):
    """f of `steps` maps z' = z + u tanh(w^T z + b), their u, w and b affine in h.

    Source: Rezende and Mohamed 2015, section 4.1 and appendix A.1.
    """

    def __init__(self, encoder: Encoder, latent_dim: int, steps: int) -> None:
        super().__init__(encoder, latent_dim, Planars(latent_dim, encoder.feature_dim, steps))


class RealnvpPosterior(FlowPosterior):
    """f of `steps` couplings z'_b = exp(a(z_a, h)) z_b + b(z_a, h), the halves exchanged after each.

    a and b are a network of `depth` hidden layers of `width` units. One pass each way. Source: Dinh et al. 2017, eq. 7.
    """

    def __init__(
        self, encoder: Encoder, latent_dim: int, steps: int, width: int, depth: int, activation: nn.Module
    ) -> None:
        flow = couplings(latent_dim, encoder.feature_dim, steps, width, depth, activation)
        super().__init__(encoder, latent_dim, flow)


class MafPosterior(FlowPosterior):
    """f of `steps` masked networks, z'_d = exp(a(z_<d, h)) z_d + b(z_<d, h), the order turned round after each.

    The layers are those of Papamakarios et al. 2017 (eq. 2 to 4), turned to draw in one pass (their section 3.2): the
    density elsewhere takes Z. It differs from IafPosterior by an exponential where that has a gate.
    Each network has `depth` hidden layers of `width` units, `width` at least Z.
    """

    def __init__(
        self, encoder: Encoder, latent_dim: int, steps: int, width: int, depth: int, activation: nn.Module
    ) -> None:
        flow = autoregressive(latent_dim, encoder.feature_dim, steps, width, depth, activation, affine)
        super().__init__(encoder, latent_dim, flow)


class IafPosterior(FlowPosterior):
    """f of `steps` masked networks, z'_d = g z_d + (1 - g) m, g = sigmoid(s(z_<d, h)) and m(z_<d, h).

    The order of the dimensions is turned round after each. A draw is one pass, the density elsewhere takes Z.
    Each network has `depth` hidden layers of `width` units, `width` at least Z.
    Source: Kingma et al. 2016, algorithm 1 and section 4.
    """

    def __init__(
        self, encoder: Encoder, latent_dim: int, steps: int, width: int, depth: int, activation: nn.Module
    ) -> None:
        flow = autoregressive(latent_dim, encoder.feature_dim, steps, width, depth, activation, gated)
        super().__init__(encoder, latent_dim, flow)


class Flowed(Distribution):
    """Draws of `base` moved by a transform of vectors (Z,); it keeps the density of what it drew last."""

    has_rsample = True

    def __init__(self, base: Distribution, transform: ComposedTransform) -> None:
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base, self.transform = base, transform
        self._last: tuple[Tensor, Tensor] | None = None

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        value, log_prob = self._moved(self.base.rsample(torch.Size(sample_shape)))
        self._last = value, log_prob
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        """Of values (..., Z), whose dots broadcast with the batch shape."""
        if self._last is not None and value is self._last[0] and value.requires_grad == self._last[1].requires_grad:
            return self._last[1]
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        origin: Any = self.transform.inv(value.expand(shape + self.event_shape))
        return self._moved(origin)[1]

    def _moved(self, origin: Tensor) -> tuple[Tensor, Tensor]:
        """f(z_0) and its log-density."""
        value, growth = self.transform.call_and_ladj(origin)
        return value, self.base.log_prob(origin) - growth
