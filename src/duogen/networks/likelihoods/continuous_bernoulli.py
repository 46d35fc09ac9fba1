"""Grey values in [0, 1], each tilted towards black or white."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint
from torch.nn import functional as F
from torch.types import _size

from duogen.errors import require_at_least
from duogen.networks.likelihoods.likelihood import Likelihood

NEAR = 0.1
NO_SHAPE = torch.Size()


class ContinuousBernoulli(Likelihood):
    """p(x | z) = prod_d C(y_d) y_d^x_d (1 - y_d)^(1 - x_d), y = sigmoid(numbers), x in [0, 1]: a density.

    Images have `levels` grey levels v. Where `dequantise`, x = (v + u) / levels with u ~ U(0, 1) anew at each use
    (Theis et al. 2016, section 3.1), and `level` is 1 / levels; what is shown is brought back to the levels' range.
    Without, x = v / (levels - 1), and the log-density at 0 and 1 has no bound: it grows as log |number|. Vectors have
    no levels: they lie in [-1, 1], get no noise, and `level` is None.
    Raises `UserError` for fewer than 2 levels. Source: Loaiza-Ganem and Cunningham 2019.
    """

    outputs = 1

    def __init__(self, shape: Sequence[int], levels: int, dequantise: bool) -> None:
        super().__init__(shape)
        require_at_least(2, "ContinuousBernoulli", levels=levels)
        image = len(self.shape) == 3
        self.levels, self.dequantise = levels, dequantise and image
        self.level = 1 / (levels if dequantise else levels - 1) if image else None

    def forward(self, numbers: Tensor) -> Distribution:
        return Independent(TiltedUniform(numbers), len(self.shape), validate_args=False)

    def inputs(self, examples: Tensor) -> Tensor:
        return (examples + 1) / 2

    def prepared(self, examples: Tensor) -> Tensor:
        grey = self.inputs(examples)
        if not self.dequantise:
            return grey
        return (grey * (self.levels - 1) + torch.rand_like(grey)) / self.levels

    def shown(self, distribution: Distribution) -> Tensor:
        grey = distribution.mean
        if self.dequantise:
            grey = ((grey * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)
        return 2 * grey - 1


class TiltedUniform(Distribution):
    """The continuous Bernoulli by its logit l: p(x) = C y^x (1 - y)^(1 - x), y = sigmoid(l), x in [0, 1].

    With h = l / 2, log C = log 2 + log(h / tanh h) and the mean is 1/2 + (1 / tanh h - 1 / h) / 2, both by their series
    where |h| < 0.1, to 1e-10. torch's ContinuousBernoulli holds y within 1.2e-7 of 0 and 1 in single precision, so that
    beyond |l| = 16 it is no density: C stands still while the rest falls.

    Args:
        logits: l, any shape, which is the batch shape.
    """

    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits.shape, validate_args=False)
        self.logits = logits

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    def log_prob(self, value: Tensor) -> Tensor:
        black, white = F.logsigmoid(-self.logits), F.logsigmoid(self.logits)
        return value * white + (1 - value) * black + self.log_normaliser

    @property
    def log_normaliser(self) -> Tensor:
        near, safe, is_near = self._halves()
        square = near.square()
        series = square * (1 / 3 - square * (7 / 90 - square * 62 / 2835))
        return math.log(2) + torch.where(is_near, series, (safe / safe.tanh()).log())

    @property
    def mean(self) -> Tensor:
        near, safe, is_near = self._halves()
        square = near.square()
        series = near * (1 / 3 - square * (1 / 45 - square * 2 / 945))
        return 0.5 + torch.where(is_near, series, 1 / safe.tanh() - 1 / safe) / 2

    def rsample(self, sample_shape: _size = NO_SHAPE) -> Tensor:
        """log(1 + u (e^l - 1)) / l for u ~ U(0, 1), from the end that the density leans on."""
        uniform = torch.rand(self._extended_shape(sample_shape), dtype=self.logits.dtype, device=self.logits.device)
        tilt = -self.logits.abs().clamp(min=1e-6)
        drawn = ((uniform * tilt.expm1()).log1p() / tilt).clamp(0, 1)
        return torch.where(self.logits > 0, 1 - drawn, drawn)

    def _halves(self) -> tuple[Tensor, Tensor, Tensor]:
        """h held within [-0.1, 0.1]; h, or 1 in there; and where that is."""
        half = self.logits / 2
        is_near = half.abs() < NEAR
        return half.clamp(-NEAR, NEAR), torch.where(is_near, torch.ones_like(half), half), is_near
