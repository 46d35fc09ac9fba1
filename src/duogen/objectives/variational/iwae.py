"""Bounds from several weighted codes, w_k = p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x)."""

import math

from torch import Tensor

from duogen.errors import UserError, require_at_least
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Split, Variational
from duogen.ramp import Ramp, at
from duogen.records import Loss


class Iwae(Variational):
    """L = -log (1/K) sum_k w_k for each example, an upper bound of -log p(x) that falls in the mean as K grows.

    With one draw this is -ELBO, its rate estimated by that draw.

    Args:
        draws: K, codes per example, >= 1.
    Term `nll_bound` (N,); observed are `distortion` and `rate` (N,) of the same codes. Raises `UserError` for fewer.
    Source: Burda et al. 2016, eq. 8.
    """

    def __init__(self, draws: int) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, draws=draws)
        self.draws = draws

    def forward(self, evidence: Evidence) -> Loss:
        return bounding(log_mean(evidence.log_weights), evidence)


class Miwae(Variational):
    """L = -(1/M) sum_m log (1/K) sum_k w_mk: the mean of M importance-weighted bounds.

    Args:
        outer: M, bounds, >= 1.
        inner: K, codes per bound, >= 1.
    Term `nll_bound` (N,); observed are `distortion` and `rate` (N,). Raises `UserError` for fewer.
    Source: Rainforth et al. 2018, MIWAE.
    """

    def __init__(self, outer: int, inner: int) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, outer=outer, inner=inner)
        self.outer, self.inner, self.draws = outer, inner, outer * inner

    def forward(self, evidence: Evidence) -> Loss:
        return bounding(mean_of_bounds(evidence.log_weights, self.outer), evidence)


class Ciwae(Variational):
    """L = -beta (1/K) sum_k log w_k - (1 - beta) log (1/K) sum_k w_k: between -ELBO and the IWAE bound.

    Args:
        draws: K, codes per example, >= 1.
        beta: the share of -ELBO, in [0, 1], or a function of the step; the paper's best is 0.05.
    Term `nll_bound` (N,); observed are `distortion` and `rate` (N,). Raises `UserError` for numbers out of range.
    Source: Rainforth et al. 2018, CIWAE.
    """

    def __init__(self, draws: int, beta: float | Ramp) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, draws=draws)
        if not isinstance(beta, Ramp) and not 0 <= beta <= 1:
            raise UserError(f"Ciwae: beta={beta}", "a share: 0 <= beta <= 1, or a ramp", "e.g. beta=0.05")
        self.draws, self.beta = draws, beta

    def forward(self, evidence: Evidence) -> Loss:
        share = at(evidence.step, self.beta)
        log_weights = evidence.log_weights
        return bounding(share * log_weights.mean(0) + (1 - share) * log_mean(log_weights), evidence)


class Piwae(Split):
    """The encoder minimises MIWAE(M, K), decoder and prior minimise IWAE(M K), of the same number of codes.

    Args:
        outer: M, the encoder's bounds, >= 1.
        inner: K, codes in each of them, >= 1.
    Term `nll_bound` (N,) of each side; observed are `distortion` and `rate` (N,). Raises `UserError` for fewer.
    Source: Rainforth et al. 2018, PIWAE.
    """

    def __init__(self, outer: int, inner: int) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, outer=outer, inner=inner)
        self.outer, self.inner, self.draws = outer, inner, outer * inner

    def encoder(self, evidence: Evidence) -> Loss:
        return bounding(mean_of_bounds(evidence.log_weights, self.outer), evidence)

    def decoder(self, evidence: Evidence) -> Loss:
        return bounding(log_mean(evidence.log_weights), evidence)


def log_mean(log_weights: Tensor) -> Tensor:
    """log (1/K) sum_k w_k, (K, ...) to (...)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


def mean_of_bounds(log_weights: Tensor, bounds: int) -> Tensor:
    """The mean (N,) of the bounds from (M K, N) weights, K neighbours to a bound."""
    return log_mean(log_weights.unflatten(0, (bounds, -1)).transpose(0, 1)).mean(0)


def bounding(bound: Tensor, evidence: Evidence) -> Loss:
    """The loss -bound (N,), beside which distortion and rate are observed."""
    observed = {"distortion": evidence.distortion.detach(), "rate": evidence.rate.detach()}
    return Loss({"nll_bound": -bound}, evidence.count, observed=observed)
