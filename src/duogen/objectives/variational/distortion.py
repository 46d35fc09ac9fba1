"""The reconstruction alone."""

from duogen.errors import require_at_least
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.records import Loss


class Distortion(Variational):
    """L = -E_q log p(x | z), the expectation from `draws` codes, >= 1: nothing here keeps the codes near the prior.

    With posterior=point a plain autoencoder; for modules whose players shape the codes by other means.
    Term `distortion` (N,) in nats. Raises `UserError` for fewer than 1 draw.
    Source: Makhzani et al. 2015, section 2, the reconstruction phase.
    """

    def __init__(self, draws: int) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, draws=draws)
        self.draws = draws

    def forward(self, evidence: Evidence) -> Loss:
        return Loss({"distortion": evidence.distortion}, evidence.count)
