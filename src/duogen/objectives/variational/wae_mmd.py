"""Autoencoders whose codes, taken together, follow the prior."""

from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.mmd import Kernel, believed, discrepancy
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Loss


class WaeMmd(Variational):
    """L = -E_q log p(x | z) + lambda MMD^2(q(z), p(z)), the cost of the transport being the distortion.

    The encoder is deterministic with posterior=point, random with any other. The MMD is between a code of each example
    of one rank and as many of the prior, without the pairs of a code with itself (the U-statistic), so it may be
    negative; the kernel states its bandwidth.

    Args:
        weight: lambda, >= 0.
        kernel: the authors' is inverse multiquadratic, summed over seven scales.
    Terms `distortion` (N,) in nats and `mmd`, 0-d. Raises `UserError` for a negative weight, and one example alone.
    Source: Tolstikhin et al. 2018, algorithm 2.
    """

    def __init__(self, weight: float | Ramp, kernel: Kernel) -> None:
        super().__init__()
        require_weights(type(self).__name__, weight=weight)
        self.weight, self.kernel = weight, kernel

    def forward(self, evidence: Evidence) -> Loss:
        codes = evidence.code[0]
        mmd = discrepancy(self.kernel, codes, believed(evidence.prior, len(codes)), diagonal=False)
        weights = {"mmd": at(evidence.step, self.weight)}
        return Loss({"distortion": evidence.distortion, "mmd": mmd}, evidence.count, weights)
