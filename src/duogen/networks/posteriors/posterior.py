"""What every approximate posterior offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution

from duogen.networks.encoder import Encoder


class Posterior(nn.Module, ABC):
    """q(z | x), an encoder with a head: examples (N, *shape) to a distribution of batch shape (N,), event shape (Z,).

    The distribution has `rsample`, differentiable in the encoder's parameters, and `log_prob`.
    """

    encoder: Encoder
    latent_dim: int

    @abstractmethod
    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Distribution:
        """(N, *shape), and labels (N,) where the encoder knows classes, to q(z | x)."""
