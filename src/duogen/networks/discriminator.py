"""What every discriminator offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Discriminator(nn.Module, ABC):
    """Maps examples (N, *shape) to features (N, F), and these by `output`, (N, F) to (N, 1), to one logit each (N,).

    What else reads the features (a projection, a classifier, a code) wraps the discriminator from outside.
    """

    feature_dim: int
    output: nn.Module

    @abstractmethod
    def features(self, examples: Tensor) -> Tensor:
        """(N, *shape) to (N, F), F = `feature_dim`."""

    def forward(self, examples: Tensor) -> Tensor:
        """(N, *shape) to logits (N,)."""
        return self.output(self.features(examples)).flatten(0)
