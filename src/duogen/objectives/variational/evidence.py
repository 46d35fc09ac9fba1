"""What a variational autoencoder says of a batch, and what is computed from it by every objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence


@dataclass(frozen=True)
class Evidence:
    """K draws of the posterior of each of N examples, and how well the decoder explains the examples by them.

    Args:
        posterior: q(z | x), batch shape (N,), event shape (Z,).
        prior: p(z), batch shape (), event shape (Z,).
        code: z ~ q(z | x), (K, N, Z), differentiable in the encoder.
        log_likelihood: log p(x | z), (K, N), in nats.
        examples: size of the training set, for objectives that estimate the aggregate posterior.
        step: of the run, from 0, for weights that change.
        explain: codes (K, N, Z) to log p(x | z) (K, N), for objectives that need it at other codes.
        decoded: p(x | z) of the code, batch shape (K, N), for objectives that need more of it than one density.
        parameters: gives those of the decoder, for objectives that keep them small.
    """

    posterior: Distribution
    prior: Distribution
    code: Tensor
    log_likelihood: Tensor
    examples: int
    step: int
    explain: Callable[[Tensor], Tensor]
    decoded: Distribution
    parameters: Callable[[], Sequence[Tensor]]

    @property
    def count(self) -> int:
        """N."""
        return self.code.shape[1]

    @cached_property
    def log_posterior(self) -> Tensor:
        """log q(z | x), (K, N)."""
        return self.posterior.log_prob(self.code)

    @cached_property
    def log_prior(self) -> Tensor:
        """log p(z), (K, N)."""
        return self.prior.log_prob(self.code)

    @cached_property
    def log_weights(self) -> Tensor:
        """log w = log p(x | z) + log p(z) - log q(z | x), (K, N)."""
        return self.log_likelihood + self.log_prior - self.log_posterior

    @cached_property
    def distortion(self) -> Tensor:
        """-E_q log p(x | z), (N,), its mean over the draws."""
        return -over_draws(self.log_likelihood)

    @cached_property
    def rates(self) -> Tensor | None:
        """KL(q(z_d | x) || p(z_d)) of each dimension, (N, Z), where both factorise and it has a closed form."""
        return divergences(self.posterior, self.prior)

    @cached_property
    def rate(self) -> Tensor:
        """KL(q(z | x) || p(z)), (N,): in closed form where there is one, else its mean over the draws."""
        if self.rates is not None:
            return self.rates.sum(1)
        try:
            return kl_divergence(self.posterior, self.prior)
        except NotImplementedError:
            return over_draws(self.log_posterior - self.log_prior)


def over_draws(values: Tensor) -> Tensor:
    """The mean (N,) of values (K, N); of one draw, that draw."""
    return values.squeeze(0) if len(values) == 1 else values.mean(0)


def divergences(posterior: Distribution, prior: Distribution) -> Tensor | None:
    """The KL of each dimension (N, Z) between products of one-dimensional distributions; None without a closed form."""
    if not (isinstance(posterior, Independent) and isinstance(prior, Independent)):
        return None
    try:
        return kl_divergence(posterior.base_dist, prior.base_dist)
    except NotImplementedError:
        return None
