"""The angle between a point of a von Mises-Fisher distribution and its mean direction."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Gamma

NODES = 128
WINDOW = 16.0
PROPOSALS = 32
NARROWEST = 1e-12


def gauss_legendre() -> Tensor:
    """Nodes and weights of the Gauss-Legendre rule of 128 points on [-1, 1], (2, 128)."""
    return torch.as_tensor(np.stack(np.polynomial.legendre.leggauss(NODES)))


class Polar:
    """g(t) = sin^{m-2}(t) exp(kappa (cos t - 1)) / Z for angles t in [0, pi], m the dimension, >= 2.

    `log_normaliser` is log Z and `mean_cosine` E cos t = A_m(kappa) = I_{m/2}(kappa) / I_{m/2-1}(kappa), (...) each.

    Integrals are taken within 16 standard deviations of the mode, so that no kappa is too large; all is float64, and
    differentiable in kappa. Nothing waits for the device.

    Args:
        dimension: m.
        concentration: kappa (...,), > 0.
        rule: nodes and weights of a quadrature on [-1, 1], (2, Q).
    """

    def __init__(self, dimension: int, concentration: Tensor, rule: Tensor) -> None:
        self.dimension, self.concentration, self.rule = dimension, concentration, rule
        with torch.no_grad():
            nodes, weights = self._placed(*self._window(self._mode.acos()))
        terms = self._exponent(nodes) + weights.log()
        self.log_normaliser = terms.logsumexp(-1)
        self.mean_cosine = (terms.softmax(-1) * nodes.cos()).sum(-1)

    def rsample(self, shape: torch.Size) -> Tensor:
        """Angles (*shape, ...) with their derivative by kappa, -(dG / dkappa) / g, G the distribution function of g.

        Source: Figurnov et al. 2018, eq. 5.
        """
        with torch.no_grad():
            angle = self._drawn(shape)
            slope = self._slope(angle)
        return angle + slope * (self.concentration - self.concentration.detach())

    @torch.no_grad()
    def _drawn(self, shape: torch.Size) -> Tensor:
        """The first accepted of 32 proposals; of each at least 0.65 are, so one in 10^14 draws is a rejected one.

        Source: Wood 1994, algorithm VM*, after Ulrich 1984.
        """
        free, kappa = self.dimension - 1, self.concentration.unsqueeze(-1)
        narrow = free / (2 * kappa + (4 * kappa.square() + free**2).sqrt())
        centre = (1 - narrow) / (1 + narrow)
        size = (*shape, *self.concentration.shape, PROPOSALS)
        one, other = Gamma(kappa.new_full(size, free / 2), kappa.new_ones(size), validate_args=False).sample((2,))
        beta = one / (one + other)
        below = 2 * narrow * beta / (1 - (1 - narrow) * beta)  # 1 - cos t
        level = kappa * (1 - below - centre) + free * ((1 - centre * (1 - below)) / (1 - centre**2)).log()
        first = (level >= torch.rand_like(level).log()).byte().argmax(-1, keepdim=True)
        return 2 * (below.gather(-1, first).squeeze(-1) / 2).sqrt().asin().clamp(NARROWEST / 2, math.pi / 2 - NARROWEST)

    def _slope(self, angle: Tensor) -> Tensor:
        """-int_0^t (cos s - A) g(s) ds / g(t), from the side on which the integrand keeps its sign."""
        mean = self.mean_cosine
        before, after = self._window(angle)
        end = torch.where(angle.cos() > mean, before, after)
        nodes, weights = self._placed(end, angle)
        ratio = (self._exponent(nodes) - self._exponent(angle.unsqueeze(-1))).exp()
        return -(weights * (nodes.cos() - mean.unsqueeze(-1)) * ratio).sum(-1)

    def _exponent(self, angle: Tensor) -> Tensor:
        """(m - 2) log sin t + kappa (cos t - 1), angles (..., Q)."""
        fall = 2 * (angle / 2).sin().square()
        return (self.dimension - 2) * angle.sin().log() - self.concentration.unsqueeze(-1) * fall

    @property
    def _mode(self) -> Tensor:
        """The cosine of the most likely angle."""
        kappa, least = self.concentration, self.dimension - 2
        return 2 * kappa / (least + (4 * kappa.square() + least**2).sqrt())

    def _window(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """16 standard deviations, as the curvature at the mode gives them, to both sides of an angle."""
        reach = WINDOW * (self.concentration * (self._mode + 1 / self._mode)).rsqrt()
        return (angle - reach).clamp_min(0), (angle + reach).clamp_max(math.pi)

    def _placed(self, start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor]:
        """The rule between two angles: nodes and weights, (..., Q) each."""
        half = ((stop - start) / 2).unsqueeze(-1)
        return start.unsqueeze(-1) + half * (1 + self.rule[0]), half * self.rule[1]
