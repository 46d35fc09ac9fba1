"""Layers of normalizing flows, each given a context; zuko's, and what it has none of."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Transform, constraints
from torch.nn import functional
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.lazy import LazyComposedTransform, LazyTransform
from zuko.transforms import ComposedTransform, CouplingTransform, MonotonicAffineTransform
from zuko.utils import bisection

from duogen.errors import require_at_least

Univariate = Callable[[Tensor, Tensor], Transform]
BISECTIONS = 40
FLATTEST = 1e-3
KEPT = 2.0
BOUND = 8.0


def affine(shift: Tensor, log_scale: Tensor) -> Transform:
    """z' = exp(a) z + b, a held softly within log [1e-3, 1e3]; RealNVP's and MAF's step."""
    return MonotonicAffineTransform(shift.float(), log_scale.float())


def gated(shift: Tensor, gate: Tensor) -> Transform:
    """z' = g z + (1 - g) m, g = sigmoid(s + 2), s held softly within [-8, 8]: at first most of z is kept.

    Source: Kingma et al. 2016, algorithm 1 and section 4.
    """
    share = (BOUND * (gate.float() / BOUND).tanh() + KEPT).sigmoid()
    return AffineTransform((1 - share) * shift.float(), share)


def autoregressive(
    latent_dim: int, context: int, steps: int, width: int, depth: int, activation: nn.Module, univariate: Univariate
) -> LazyTransform:
    """`steps` masked networks, the order of the dimensions turned round after each; z to z' is one pass, back are Z.

    Each has `depth` hidden layers of `width` units, and sees `context` numbers beside z.
    Raises `UserError` for sizes below their least, and for fewer units than dimensions, which would leave some unread.
    """
    require_at_least(1, "the flow", steps=steps, depth=depth)
    require_at_least(latent_dim, "the flow's masked networks", width=width)
    order: Any = torch.arange(latent_dim, device="cpu")
    with torch.device("cpu"):  # masks are values, which the meta device has not
        layers = [
            MaskedAutoregressiveTransform(
                latent_dim,
                context,
                order=order.flip(0) if step % 2 else order,
                univariate=univariate,
                hidden_features=[width] * depth,
                activation=lambda: activation,
            )
            for step in range(steps)
        ]
    return LazyComposedTransform(*layers).to(torch.get_default_device())


def couplings(
    latent_dim: int, context: int, steps: int, width: int, depth: int, activation: nn.Module
) -> LazyTransform:
    """`steps` affine couplings, by turns of the odd dimensions given the even ones and the reverse; one pass each way.

    Each has a network of `depth` hidden layers of `width` units, which sees `context` numbers beside the given half.
    Raises `UserError` for sizes below their least. Source: Dinh et al. 2017, eq. 7 and 8.
    """
    require_at_least(1, "the flow", steps=steps, depth=depth, width=width)
    even: Any = torch.arange(latent_dim, device="cpu") % 2 == 0
    with torch.device("cpu"):
        layers = [
            Coupling(
                latent_dim,
                context,
                mask=~even if step % 2 else even,
                univariate=affine,
                hidden_features=[width] * depth,
                activation=lambda: activation,
            )
            for step in range(steps)
        ]
    return LazyComposedTransform(*layers).to(torch.get_default_device())


class Coupling(GeneralCouplingTransform):
    """zuko's coupling, whose halves are found once and not at each use, where the host would wait for the device."""

    given: Tensor
    moved: Tensor

    def __init__(self, features: int, context: int, mask: Any, **settings: Any) -> None:
        super().__init__(features, context, mask, **settings)
        self.register_buffer("given", mask.nonzero()[:, 0], persistent=False)
        self.register_buffer("moved", (~mask).nonzero()[:, 0], persistent=False)

    def forward(self, c: Tensor | None = None) -> Transform:
        condition: Any = c
        return Halves(partial(self.meta, condition), self.given, self.moved)


class Halves(CouplingTransform):
    """z'_b = f(z_b | z_a), z'_a = z_a, the places of a and b given as indices."""

    def __init__(self, meta: Callable[[Tensor], Transform], given: Tensor, moved: Tensor) -> None:
        Transform.__init__(self)
        self.meta, self.idx_a, self.idx_b = meta, given, moved


class Planars(LazyTransform):
    """`steps` planar maps whose u, w and b are affine in the context, (N, F)."""

    def __init__(self, latent_dim: int, context: int, steps: int) -> None:
        super().__init__()
        require_at_least(1, "the flow", steps=steps)
        self.latent_dim, self.steps = latent_dim, steps
        self.head = nn.Linear(context, steps * (2 * latent_dim + 1))

    def forward(self, c: Tensor | None = None) -> Transform:
        numbers = self.head(c).float().unflatten(-1, (self.steps, -1)).unbind(-2)
        places = (self.latent_dim, 2 * self.latent_dim)
        return ComposedTransform(*(Planar(*step.tensor_split(places, -1)) for step in numbers))


class Planar(Transform):
    """z' = z + u tanh(w^T z + b), log |det| = log(1 + w^T u (1 - tanh^2(w^T z + b))), with u mended to be invertible.

    u (..., Z) is given w^T u > -1 by adding (m(w^T u) - w^T u) w / |w|^2, w (..., Z), b (..., 1). The paper's
    m(y) = log(1 + e^y) - 1 would send u to infinity as w goes to 0; here m(0) = 0 and u stays as long as it was,
    m(y) = 0.999 log(1 + (e - 1) e^y) - 0.999. The inverse is found by bisection along w.
    Source: Rezende and Mohamed 2015, eq. 10 to 12 and appendix A.1.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, push: Tensor, normal: Tensor, offset: Tensor) -> None:
        super().__init__()
        raw = (normal * push).sum(-1, keepdim=True)
        self.least = FLATTEST + (1 - FLATTEST) * functional.softplus(raw + math.log(math.e - 1))
        self.normal, self.offset = normal, offset
        self.push = push + (self.least - 1 - raw) * normal / normal.square().sum(-1, keepdim=True).clamp_min(1e-12)

    def _call(self, x: Tensor) -> Tensor:
        return x + self.push * self._bend(x)

    def _inverse(self, y: Tensor) -> Tensor:
        along = (self.normal * y).sum(-1, keepdim=True)
        strength, offset = self.least - 1, self.offset

        def moved(place: Tensor) -> Tensor:
            return place + strength * (place + offset).tanh()

        reach = strength.abs()
        learned = [number for number in (strength, offset) if number.requires_grad]
        place = bisection(moved, along, along - reach, along + reach, BISECTIONS, learned)
        return y - self.push * (place + offset).tanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        bend = self._bend(x).square()
        return (bend + self.least * (1 - bend)).log().squeeze(-1)

    def _bend(self, x: Tensor) -> Tensor:
        return ((self.normal * x).sum(-1, keepdim=True) + self.offset).tanh()
