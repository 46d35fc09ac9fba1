"""Grey levels in their order, each value from a mixture of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.distributions.constraints import Constraint
from torch.nn import functional as F
from torch.types import _size

from duogen.errors import require_at_least
from duogen.networks.likelihoods.bounded import bounded
from duogen.networks.likelihoods.levels import level_of, spacing, value_of
from duogen.networks.likelihoods.likelihood import Likelihood

BOUND = 7.0
NO_SHAPE = torch.Size()


class DiscretisedLogisticMixture(Likelihood):
    """P(x | z) = prod_d sum_k pi_k P_k(x_d), x_d one of L levels in [-1, 1], of width w = 2 / (L - 1).

    P_k(x) = sigmoid((x + w / 2 - mu_k) / s_k) - sigmoid((x - w / 2 - mu_k) / s_k), where the first is 1 at x = 1 and
    the second 0 at x = -1. The 3 K numbers of a value are K logits of pi, K means mu and K log-scales, in this order;
    log s is held softly within [-7, 7], 7 tanh(a / 7). Each value of a colour image has K components of its own: the
    channels are not coupled, as they are in the source, where the red of a pixel moves the means of its green.

    Args:
        shape: (C, H, W) or (D,), values in [-1, 1].
        levels: L, >= 2; a value is taken for its nearest level.
        components: K, >= 1.
    Raises `UserError` for sizes below their least.
    Source: Salimans et al. 2017 (PixelCNN++), section 2.1, eq. 2, for one channel.
    """

    def __init__(self, shape: Sequence[int], levels: int, components: int) -> None:
        super().__init__(shape)
        require_at_least(2, "DiscretisedLogisticMixture", levels=levels)
        require_at_least(1, "DiscretisedLogisticMixture", components=components)
        self.levels, self.components, self.outputs = levels, components, 3 * components

    def forward(self, numbers: Tensor) -> Distribution:
        event = len(self.shape)
        parameters = numbers.unflatten(-event, (3, self.components, -1)).movedim(-event - 1, -1)
        logits, means, log_scales = parameters.unbind(-event - 2)
        return LogisticMixture(logits, means, bounded(log_scales, BOUND), self.levels, event)

    def prepared(self, examples: Tensor) -> Tensor:
        return value_of(level_of(examples, self.levels), self.levels)

    def shown(self, distribution: Distribution) -> Tensor:
        return distribution.mean


class LogisticMixture(Distribution):
    """Mixtures of logistic distributions, one for each value of an event, rounded to `levels` levels in [-1, 1].

    `mean` is that of the values clamped to [-1, 1] and not yet rounded, 1 - s_k (softplus((1 - mu_k) / s_k) -
    softplus((-1 - mu_k) / s_k)) of each component: within half a level of the levels' own mean, at no sum over them.

    Args:
        logits: of pi, (..., *event, K).
        means: mu, (..., *event, K).
        log_scales: log s, (..., *event, K).
        levels: L, >= 2.
        event: dimensions of the event, 1 or 3.
    """

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor, levels: int, event: int) -> None:
        shape = means.shape[:-1]
        super().__init__(shape[:-event], shape[-event:], validate_args=False)
        self.logits, self.means, self.log_scales, self.levels = logits, means, log_scales, levels

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability, in nats, of values (..., *event) on the levels."""
        mixed = self.logits.log_softmax(-1) + self._by_component(value[..., None])
        return mixed.logsumexp(-1).flatten(-len(self.event_shape)).sum(-1)

    @property
    def mean(self) -> Tensor:
        scales = self.log_scales.exp()
        under = F.softplus((1 - self.means) / scales) - F.softplus((-1 - self.means) / scales)
        return (self.logits.softmax(-1) * (1 - scales * under).clamp(-1, 1)).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: _size = NO_SHAPE) -> Tensor:
        """Values (*sample_shape, ..., *event) on the levels."""
        chosen = Categorical(logits=self.logits, validate_args=False).sample(sample_shape)[..., None]
        means, log_scales = (
            part.expand(*sample_shape, *part.shape).gather(-1, chosen)[..., 0] for part in (self.means, self.log_scales)
        )
        values = means + log_scales.exp() * torch.rand_like(means).logit()
        return value_of(level_of(values, self.levels), self.levels)

    def _by_component(self, value: Tensor) -> Tensor:
        """log P_k of values (..., *event, 1): sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a))."""
        half, inverse = spacing(self.levels) / 2, (-self.log_scales).exp()
        first, last = value < half - 1, value > 1 - half
        below = F.logsigmoid((value - self.means + half) * inverse).masked_fill(last, 0)
        above = F.logsigmoid((self.means - value + half) * inverse).masked_fill(first, 0)
        between = (-(-2 * half * inverse).expm1()).log().masked_fill(first | last, 0)
        return below + above + between
