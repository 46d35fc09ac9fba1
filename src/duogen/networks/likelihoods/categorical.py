"""Grey levels without an order."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution, Independent

from duogen.errors import require_at_least
from duogen.networks.likelihoods.levels import level_of, value_of
from duogen.networks.likelihoods.likelihood import Likelihood


class Categorical(Likelihood):
    """p(x | z) = prod_d softmax(numbers_d)_{x_d}, x_d in {0, ..., L - 1} the nearest of L levels in [-1, 1].

    The L numbers of a value are the logits of its levels, in order; memory grows with L. What is shown is the mean of
    the levels, which may be a level that the distribution excludes.
    Raises `UserError` for fewer than 2 levels. Source: van den Oord et al. 2016 (PixelRNN), section 2.2.
    """

    def __init__(self, shape: Sequence[int], levels: int) -> None:
        super().__init__(shape)
        require_at_least(2, "Categorical", levels=levels)
        self.outputs = self.levels = levels

    def forward(self, numbers: Tensor) -> Distribution:
        event = len(self.shape)
        logits = numbers.unflatten(-event, (self.levels, -1)).movedim(-event - 1, -1)
        return Independent(OrderedCategorical(logits=logits, validate_args=False), event, validate_args=False)

    def prepared(self, examples: Tensor) -> Tensor:
        return level_of(examples, self.levels)

    def shown(self, distribution: Distribution) -> Tensor:
        return value_of(distribution.mean, self.levels)


class OrderedCategorical(TorchCategorical):
    """A categorical distribution of numbers 0, ..., L - 1, which therefore have a mean: sum_l l p_l."""

    @property
    def mean(self) -> Tensor:
        levels = torch.arange(self.probs.shape[-1], device=self.probs.device)
        return (self.probs * levels).sum(-1)
