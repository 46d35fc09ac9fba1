"""Pixels that are black or white."""

from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent

from duogen.networks.likelihoods.likelihood import Likelihood


class Bernoulli(Likelihood):
    """p(x | z) = prod_d y_d^x_d (1 - y_d)^(1 - x_d), y = sigmoid(numbers), x in {0, 1}.

    Grey values in (0, 1) are taken as they are, and then this is no density (Loaiza-Ganem and Cunningham 2019): it is
    the cross-entropy of the paper's code, and an upper bound of nothing.
    Source: Kingma and Welling 2014, appendix C.1.
    """

    outputs = 1

    def forward(self, numbers: Tensor) -> Distribution:
        return Independent(TorchBernoulli(logits=numbers, validate_args=False), len(self.shape), validate_args=False)

    def prepared(self, examples: Tensor) -> Tensor:
        return (examples + 1) / 2

    def shown(self, distribution: Distribution) -> Tensor:
        return 2 * distribution.mean - 1
