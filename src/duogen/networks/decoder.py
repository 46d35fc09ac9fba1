"""What every decoder offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Decoder(nn.Module, ABC):
    """Maps codes (N, Z), and classes where it is conditional, to numbers (N, m C, H, W) or (N, m D).

    What the numbers mean is the likelihood's: m of them for each value of an example, unbounded.
    """

    @abstractmethod
    def forward(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, Z), and labels (N,) where the decoder knows classes, to (N, m C, H, W) or (N, m D)."""
