"""A codebook that learns by gradients."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from duogen.networks.quantizers.codebook import Codebook
from duogen.networks.quantizers.quantizer import over_places


class VectorQuantizer(Codebook):
    """Vectors pulled towards the values that chose them, by the term `codebook`, |sg(z) - e_k|^2, of weight 1.

    Summed over D and averaged over the places, as `commitment`. The arguments are those of `Codebook`.
    Source: van den Oord et al. 2017, eq. 3.
    """

    def __init__(self, dim: int, size: int, commitment: float) -> None:
        super().__init__(dim, size, commitment)
        self.codebook = nn.Parameter(self.drawn())

    @torch.no_grad()
    def start(self) -> None:
        self.codebook.copy_(self.drawn())

    def learning(self, values: Tensor, vectors: Tensor) -> Mapping[str, Tensor]:
        return {"codebook": over_places((values.detach() - vectors).square().sum(-1))}
