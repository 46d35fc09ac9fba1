"""Pixels that are black or white."""

from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent
from torch.nn.functional import binary_cross_entropy_with_logits

from duogen.networks.likelihoods.likelihood import Likelihood


class Bernoulli(Likelihood):
    """p(x | z) = prod_d y_d^x_d (1 - y_d)^(1 - x_d), y = sigmoid(numbers), x in {0, 1}.

    Grey values in (0, 1) are taken as they are, and then this is no density (Loaiza-Ganem and Cunningham 2019): it is
    the cross-entropy of the paper's code, and an upper bound of nothing.
    Source: Kingma and Welling 2014, appendix C.1.
    """

    outputs = 1

    def forward(self, numbers: Tensor) -> Distribution:
        return Bits(numbers, len(self.shape))

    def prepared(self, examples: Tensor) -> Tensor:
        return (examples + 1) / 2

    def inputs(self, examples: Tensor) -> Tensor:
        return self.prepared(examples)

    def shown(self, distribution: Distribution) -> Tensor:
        return 2 * distribution.mean - 1


class Bits(Independent):
    """Independent Bernoulli variables by their logits (..., *shape), the last `dimensions` of them an event."""

    def __init__(self, logits: Tensor, dimensions: int) -> None:
        super().__init__(TorchBernoulli(logits=logits, validate_args=False), dimensions, validate_args=False)
        self.logits, self.event = logits, tuple(range(-dimensions, 0))

    def log_prob(self, value: Tensor) -> Tensor:
        """As that of `Independent`, with one pass over the pixels less: summed before its sign is changed."""
        nats = binary_cross_entropy_with_logits(self.logits, value.expand_as(self.logits), reduction="none")
        return -nats.sum(self.event)
