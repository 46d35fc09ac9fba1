"""The likelihood of held-out examples, estimated by annealed importance sampling: a check on importance sampling."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from duogen.errors import require_at_least
from duogen.metrics.annealing import AIM, Bridge, annealed, schedule, sizes
from duogen.metrics.euclidean import moments, require_euclidean
from duogen.metrics.importance_nll import log_likelihood
from duogen.metrics.latent import Inference, bits_per_dimension
from duogen.metrics.leading import LeadingMeasure
from duogen.records import Examples, Fact

SANE = 0.3, 0.95
PILOTS = 4
FACTS = {
    "annealed_nll": Fact(unit="nats", higher_is_better=False),
    "annealed_bits_per_dimension": Fact(unit="bits", higher_is_better=False),
    "acceptance": Fact(unit="share", higher_is_better=True),
}
COMPARED = {"importance_gap": Fact(unit="nats", higher_is_better=False)}


class AnnealedImportance(LeadingMeasure):
    """The negative log-likelihood of the first M test examples from C annealed chains of each.

    annealed_nll = -mean_n [logsumexp_c log w_nc - log C], in nats: an upper bound in expectation, which falls with T
    and C. A chain goes from p(z) to p(z) p(x | z), by T - 1 Hamiltonian transitions of some leapfrog steps each, at
    temperatures dense at both ends; step sizes are found for each example by a pilot run of 4 chains.
    importance_gap = annealed log-likelihood - that of K codes by importance sampling, of the same examples, in nats:
    above 0 where importance_nll is too pessimistic, below 0 where the chains are; nothing where K is null.
    annealed_bits_per_dimension = (nll - D log level) / (D ln 2), level the width of a grey level where p is a density,
    else 1. acceptance: the mean of the transitions' probabilities, in [0, 1].

    Args:
        shape: of one example.
        examples: M, >= 1, or all where there are fewer.
        chains: C, >= 1.
        temperatures: T, >= 1; 1 is importance sampling from the start.
        leaps: leapfrog steps of a transition, >= 1.
        draws: K, >= 1, or null.
        from_posterior: whether chains begin at N(mean, diag variance) of q(z | x), not at p(z).
    Raises `UserError` for counts below 1, for codes on a sphere, and where a posterior that is a point is asked for
    a density: draws=null and from_posterior=false ask for none.
    Source: Neal 2001; Wu et al. 2017.
    """

    name: ClassVar[str] = "annealed_importance"
    columns: ClassVar[int] = 3

    def __init__(
        self,
        shape: Sequence[int],
        examples: int,
        chains: int,
        temperatures: int,
        leaps: int,
        draws: int | None,
        from_posterior: bool,
    ) -> None:
        require_at_least(1, "AnnealedImportance", chains=chains, temperatures=temperatures, leaps=leaps)
        require_at_least(1, "AnnealedImportance", **({} if draws is None else {"draws": draws}))
        super().__init__(shape, examples, max(chains, PILOTS))
        self.facts: Mapping[str, Fact] = FACTS | ({} if draws is None else COMPARED)
        self.chains, self.temperatures, self.leaps, self.draws = chains, temperatures, leaps, draws
        self.from_posterior, self.level, self.acceptance = from_posterior, 1.0, AIM

    def each(self, model: Inference, examples: Examples) -> Tensor:
        self.level = model.level or 1.0
        require_euclidean(model.believed(), self.name)
        bridge, betas = self.bridge(model, examples), schedule(self.temperatures)
        steps = sizes(bridge, betas, PILOTS)
        weights, acceptance = annealed(bridge, betas, steps, self.chains)
        found = weights.logsumexp(0) - math.log(self.chains)
        return torch.stack([found, acceptance, found - self.sampled(model, examples)], 1)

    def sampled(self, model: Inference, examples: Examples) -> Tensor:
        """What importance sampling says of the same examples, (N,); not a number where that is not asked for."""
        if self.draws is None:
            return torch.full((examples.count,), math.nan)
        moments(model.recognised(examples), self.name)
        return log_likelihood(model, examples, self.draws)

    def bridge(self, model: Inference, examples: Examples) -> Bridge:
        """From the start to p(z) p(x | z)."""
        prior, explained = model.believed(), partial(model.explained, examples=examples)
        if not self.from_posterior:
            count = examples.count
            return Bridge(lambda chains: prior.sample((chains, count)), prior.log_prob, explained, 1.0, self.leaps)
        means, deviations = moments(model.recognised(examples), self.name)
        start = Independent(Normal(means, deviations, validate_args=False), 1, validate_args=False)

        def gain(codes: Tensor) -> Tensor:
            return explained(codes) + prior.log_prob(codes) - start.log_prob(codes)

        return Bridge(lambda chains: start.sample((chains,)), start.log_prob, gain, deviations, self.leaps)

    def values(self) -> dict[str, Tensor]:
        found, acceptance, gap = self.leading().mean(0)
        self.acceptance = float(acceptance)
        bits = bits_per_dimension(-found, self.shape, self.level)
        values = {"annealed_nll": -found, "annealed_bits_per_dimension": bits, "acceptance": acceptance}
        return values | ({} if self.draws is None else {"importance_gap": gap})

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "chains": self.chains,
            "temperatures": self.temperatures,
            "leaps": self.leaps,
            "draws": self.draws,
            "start": "N(mean, diag variance) of q(z | x)" if self.from_posterior else "p(z)",
            "estimator": "annealed importance sampling, Hamiltonian transitions, step sizes of a pilot run",
            "level": self.level,
        }

    def remarks(self) -> Sequence[str]:
        """That the transitions go too far or too short, where their acceptance is not between 0.3 and 0.95."""
        low, high = SANE
        if self.temperatures == 1 or low <= self.acceptance <= high:
            return ()
        return (
            f"annealed_importance: {self.acceptance:.0%} of the transitions were accepted, and {low:.0%} to {high:.0%} "
            "are sane: there are too few temperatures for step sizes to settle, or the likelihood has no slopes. The "
            "bound is loose: raise metrics.annealed_importance.temperatures.",
        )
