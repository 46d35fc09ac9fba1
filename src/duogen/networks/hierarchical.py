"""Decoders of codes in two layers."""

from torch import Tensor

from duogen.errors import require_at_least
from duogen.networks.decoder import Decoder


class HierarchicalDecoder(Decoder):
    """p(x | h1, h2) = p(x | h1): any decoder that sees the lower layer of a code z = (h1, h2) alone.

    Args:
        decoder: (M, Z1) to the numbers of an example.
        bottom_dim: Z1, >= 1.
    Raises `UserError` for a layer without dimensions. Source: Burda et al. 2016, eq. 1.
    """

    def __init__(self, decoder: Decoder, bottom_dim: int) -> None:
        super().__init__()
        require_at_least(1, "HierarchicalDecoder", bottom_dim=bottom_dim)
        self.decoder, self.bottom_dim = decoder, bottom_dim

    def forward(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, Z1 + Z2), and labels (N,) where the decoder knows classes, to (N, m C, H, W) or (N, m D)."""
        return self.decoder(code[:, : self.bottom_dim], labels)
