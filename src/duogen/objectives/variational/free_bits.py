"""A rate of which some nats are free."""

from torch import Tensor

from duogen.errors import UserError, require_at_least
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Loss


class FreeBits(Variational):
    """L = -E_q log p(x | z) + sum_j max(lambda, KL_j), KL_j that of a group of dimensions, its mean over the batch.

    The mean, over the examples of one rank, is clamped, not the KL of each example. A group whose KL is below lambda
    has no gradient from it.

    Args:
        nats: lambda, >= 0, the free nats of each group.
        group: how many neighbouring dimensions make a group, 1 for each alone; null for all of them together, which
            serves posteriors and priors that do not factorise too.
    Terms `distortion` (N,) and `clamped_rate`, 0-d; observed is the true `rate` (N,). Raises `UserError` for numbers
    outside their range, a group that does not divide Z, and groups of distributions that do not factorise.
    Source: Kingma et al. 2016, appendix C.8.
    """

    def __init__(self, nats: float | Ramp, group: int | None) -> None:
        super().__init__()
        require_weights(type(self).__name__, nats=nats)
        if group is not None:
            require_at_least(1, type(self).__name__, group=group)
        self.nats, self.group = nats, group

    def forward(self, evidence: Evidence) -> Loss:
        clamped = self.grouped(evidence).mean(0).clamp(min=at(evidence.step, self.nats)).sum()
        terms = {"distortion": evidence.distortion, "clamped_rate": clamped}
        return Loss(terms, evidence.count, observed={"rate": evidence.rate.detach()})

    def grouped(self, evidence: Evidence) -> Tensor:
        """The KL (N, G) of each example and group."""
        if self.group is None:
            return evidence.rate.unsqueeze(1)
        if evidence.rates is None:
            given = f"FreeBits: group={self.group} with a posterior or prior whose KL is no sum over dimensions"
            allowed = "group=null, or posterior=gaussian with prior=standard"
            raise UserError(given, allowed, "use variational.group=null")
        if evidence.rates.shape[1] % self.group:
            given = f"FreeBits: group={self.group} of {evidence.rates.shape[1]} dimensions"
            raise UserError(given, "a group that divides the dimensions", "e.g. variational.group=1")
        return evidence.rates.unflatten(1, (-1, self.group)).sum(2)
