"""The evidence lower bound, and its weighted forms."""

from duogen.errors import require_at_least
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Loss


class Elbo(Variational):
    """-ELBO with a weight: L = -E_q log p(x | z) + beta KL(q(z | x) || p(z)), the expectation from `draws` codes.

    Args:
        beta: >= 0, 1 for the bound itself, or a function of the step: a warm-up (Bowman et al. 2016), cyclical (Fu et
            al. 2019).
        draws: K, codes per example, >= 1.
    Terms `distortion` and `rate`, (N,) each. Raises `UserError` for a beta or draws outside their range.
    Source: Kingma and Welling 2014, eq. 7; Higgins et al. 2017, eq. 4.
    """

    def __init__(self, beta: float | Ramp, draws: int) -> None:
        super().__init__()
        require_weights(type(self).__name__, beta=beta)
        require_at_least(1, type(self).__name__, draws=draws)
        self.beta, self.draws = beta, draws

    def forward(self, evidence: Evidence) -> Loss:
        weights = {"rate": at(evidence.step, self.beta)}
        return Loss({"distortion": evidence.distortion, "rate": evidence.rate}, evidence.count, weights)
