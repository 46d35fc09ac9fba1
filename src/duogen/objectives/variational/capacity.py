"""A rate that is held at a capacity which grows."""

from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Loss


class Capacity(Variational):
    """L = -E_q log p(x | z) + gamma |KL(q(z | x) || p(z)) - C(t)|, the KL its mean over the batch.

    The paper writes the KL of one example; it is the mean over the batch, of one rank, that is held at C here, as in
    disentanglement_lib's AnnealedVAE: an average of C nats, which examples may share unequally.

    Args:
        gamma: >= 0; the paper's is 1000.
        capacity: C in nats, >= 0, most often a line from 0 to 25 over 100,000 steps.
    Terms `distortion` (N,) and `capacity_gap`, 0-d, which gamma weighs; observed is `rate` (N,). Raises `UserError` for
    a negative number. Source: Burgess et al. 2018, eq. 8.
    """

    def __init__(self, gamma: float | Ramp, capacity: float | Ramp) -> None:
        super().__init__()
        require_weights(type(self).__name__, gamma=gamma, capacity=capacity)
        self.gamma, self.capacity = gamma, capacity

    def forward(self, evidence: Evidence) -> Loss:
        gap = (evidence.rate.mean() - at(evidence.step, self.capacity)).abs()
        terms = {"distortion": evidence.distortion, "capacity_gap": gap}
        weights = {"capacity_gap": at(evidence.step, self.gamma)}
        return Loss(terms, evidence.count, weights, {"rate": evidence.rate.detach()})
