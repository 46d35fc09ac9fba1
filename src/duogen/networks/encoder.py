"""What every encoder offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module, ABC):
    """Maps examples (N, *shape) to features (N, F), F = `feature_dim`; one that is conditional is told classes too."""

    feature_dim: int

    @abstractmethod
    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape), and labels (N,) where the encoder knows classes, to (N, F).

        Images are in [-1, 1], or in [0, 1] where the likelihood has them so.
        """
