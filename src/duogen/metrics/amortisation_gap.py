"""What the encoder loses by sharing its weights among all examples, and its family by its form."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from duogen.errors import UserError, require_at_least
from duogen.metrics.euclidean import moments, require_euclidean
from duogen.metrics.importance_nll import AT_ONCE, parts
from duogen.metrics.latent import Inference
from duogen.metrics.leading import LeadingMeasure
from duogen.metrics.local import Local, LogDensity
from duogen.records import Examples, Fact

CODES = 10


class AmortisationGap(LeadingMeasure):
    """The two parts of log p(x) - ELBO(q) for the first M test examples, means over them, in nats.

    amortisation_gap = ELBO(q*) - ELBO(q), approximation_gap = log p(x) - ELBO(q*). q is the encoder's q(z | x), q* a
    Gaussian fitted to each example alone by Adam, from q's mean and standard deviation. Both ELBOs are means of
    log p(x, z) - log q(z) over K codes with the same noise, log p(x) the importance-weighted bound of q*'s codes, so
    that approximation_gap is at least 0 and, in expectation, below the true one. Where q is of a larger family than q*,
    a flow or a Gaussian with correlations, amortisation_gap may be below 0.

    Args:
        shape: of one example.
        examples: M, >= 1, or all where there are fewer.
        draws: K, >= 1.
        steps: of Adam, >= 1, with 10 codes each; its rate falls to 0.
        lr: of the first step, > 0, in q's standard deviations.
        full: whether q* has correlations.
    Raises `UserError` for counts below 1, an lr that is not above 0, codes on a sphere and points.
    Source: Cremer et al. 2018, section 3; starting from q and the estimator of the gradient are ours.
    """

    name: ClassVar[str] = "amortisation_gap"
    columns: ClassVar[int] = 2
    facts: Mapping[str, Fact] = {
        "amortisation_gap": Fact(unit="nats", higher_is_better=False),
        "approximation_gap": Fact(unit="nats", higher_is_better=False),
    }

    def __init__(self, shape: Sequence[int], examples: int, draws: int, steps: int, lr: float, full: bool) -> None:
        require_at_least(1, "AmortisationGap", draws=draws, steps=steps)
        if not 0 < lr < math.inf:
            raise UserError(f"AmortisationGap: lr={lr}", "a number above 0", "e.g. metrics.amortisation_gap.lr=0.05")
        super().__init__(shape, examples, CODES)
        self.draws, self.steps, self.lr, self.full = draws, steps, lr, full

    def each(self, model: Inference, examples: Examples) -> Tensor:
        prior, posterior = model.believed(), model.recognised(examples)
        require_euclidean(prior, self.name)

        def log_joint(codes: Tensor) -> Tensor:
            return model.explained(codes, examples) + prior.log_prob(codes)

        local = Local(*moments(posterior, self.name), self.full).fit(log_joint, self.steps, CODES, self.lr)
        noise = int(torch.randint(2**62, ()))
        elbo, _ = self.bounds(posterior, log_joint, noise)
        best, log_likelihood = self.bounds(local, log_joint, noise)
        return torch.stack([best - elbo, log_likelihood - best], 1)

    def bounds(self, posterior: Distribution, log_joint: LogDensity, noise: int) -> tuple[Tensor, Tensor]:
        """ELBO and importance-weighted bound (N,) in nats, from K codes whose noise is a function of a seed."""
        torch.manual_seed(noise)
        weights = []
        for count in parts(self.draws, max(1, AT_ONCE // posterior.batch_shape[0])):
            codes = posterior.rsample(torch.Size([count]))
            weights.append((log_joint(codes) - posterior.log_prob(codes)).cpu().double())
        found = torch.cat(weights)
        return found.mean(0), found.logsumexp(0) - math.log(self.draws)

    def values(self) -> dict[str, Tensor]:
        return dict(zip(self.facts, self.leading().mean(0), strict=True))

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "draws": self.draws,
            "local": "Gaussian with correlations" if self.full else "diagonal Gaussian",
            "steps": self.steps,
            "lr": self.lr,
            "codes": CODES,
            "estimator": "Adam from q's mean and deviation; equal noise; importance-weighted log p(x)",
        }
