"""What every prior offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

Recognise = Callable[[Tensor], Distribution]


class Prior(nn.Module, ABC):
    """p(z): a distribution of batch shape () and event shape (Z,), with parameters of its own where it learns."""

    @abstractmethod
    def forward(self, recognise: Recognise) -> Distribution:
        """p(z); `recognise` maps examples (M, *shape) to q(z | x), for priors that are made of posteriors."""
