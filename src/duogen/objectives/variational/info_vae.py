"""An aggregate posterior that is drawn to the prior, so that the rate need not be small."""

from duogen.errors import UserError
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.mmd import Kernel, believed, discrepancy
from duogen.objectives.variational.variational import Variational
from duogen.records import Loss


class InfoVae(Variational):
    """L = -E_q log p(x | z) + (1 - alpha) KL(q(z | x) || p(z)) + (alpha + lambda - 1) MMD^2(q(z), p(z)).

    The MMD is between a code of each example of one rank and as many of the prior, over all pairs, those of a code with
    itself among them, as in the authors' code; the kernel states its bandwidth.

    Args:
        alpha: the preference for information, <= 1; 1 leaves no rate.
        lambda_: the weight of the divergence, >= 1 - alpha.
        kernel: the paper's is Gaussian.
    Terms `distortion` and `rate` (N,) in nats, and `mmd`, 0-d. Raises `UserError` for weights below 0.
    Source: Zhao et al. 2019, the InfoVAE family with MMD.
    """

    def __init__(self, alpha: float, lambda_: float, kernel: Kernel) -> None:
        super().__init__()
        if not 1 - lambda_ <= alpha <= 1:
            given = f"InfoVae: alpha={alpha}, lambda_={lambda_}"
            raise UserError(given, "1 - lambda_ <= alpha <= 1", "e.g. alpha=0.0 and lambda_=1000.0")
        self.alpha, self.lambda_, self.kernel = alpha, lambda_, kernel

    def forward(self, evidence: Evidence) -> Loss:
        codes = evidence.code[0]
        mmd = discrepancy(self.kernel, codes, believed(evidence.prior, len(codes)), diagonal=True)
        terms = {"distortion": evidence.distortion, "rate": evidence.rate, "mmd": mmd}
        return Loss(terms, evidence.count, {"rate": 1 - self.alpha, "mmd": self.alpha + self.lambda_ - 1})
