"""Values that are normal around what the decoder says, as far as a whole batch is on average."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from duogen.errors import UserError
from duogen.networks.likelihoods.bounded import require_scale
from duogen.networks.likelihoods.continuous import ContinuousLikelihood


class SigmaVae(ContinuousLikelihood):
    """p(x | z) = N(x; numbers, sigma^2 I) with the sigma that makes a batch most likely, in closed form.

    In training, sigma^2 = max(mean (x - numbers)^2, least^2), the mean over the values, the examples and the draws that
    `log_prob` is given: so the log-likelihood of an example depends on its batch. No gradient flows through sigma: at
    the optimum that of the batch's log-likelihood is 0. Parts of an accumulated batch, and ranks, have a sigma each;
    objectives that weigh the draws (the importance-weighted bound) get the sigma of equal weights.
    In evaluation, sigma^2 is `variance`, a buffer: the running mean of training's sigma^2, in which the n-th batch
    counts max(momentum, 1 / n). It is of the training network also where an average of its weights is evaluated, and
    1 before the first batch. So the log-likelihood of an example there depends on no other, and is a density.

    Args:
        shape: (C, H, W) or (D,).
        levels: grey levels of the images, >= 2.
        dequantise: whether images get the noise of one level.
        least: sigma's lower bound, in (0, 1), in units of the examples.
        momentum: share of the newest batch in the running mean, in (0, 1].
    Raises `UserError` for a `least` or a momentum out of range.
    Source: Rybkin et al. 2021, optimal sigma-VAE; the running value is ours.
    """

    outputs = 1
    variance: Tensor
    batches: Tensor

    def __init__(self, shape: Sequence[int], levels: int, dequantise: bool, least: float, momentum: float) -> None:
        super().__init__(shape, levels, dequantise)
        require_scale(least, "SigmaVae")
        if not 0 < momentum <= 1:
            raise UserError(f"SigmaVae: momentum={momentum}", "0 < momentum <= 1", "set momentum, for example to 0.01")
        self.least, self.momentum = least, momentum
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, numbers: Tensor) -> Distribution:
        around = Normal(numbers, self.variance.sqrt(), validate_args=False)
        fitted = FittedNormal(around, self.fit) if self.training else around
        return Independent(fitted, len(self.shape), validate_args=False)

    @torch.no_grad()
    def fit(self, error: Tensor) -> Tensor:
        """sigma of a batch, 0-d, from its mean squared error, 0-d; notes it in the running mean."""
        variance = error.clamp(min=self.least**2)
        self.batches += 1
        share = self.batches.reciprocal().clamp(min=self.momentum)
        self.variance.lerp_(variance.to(self.variance), share.to(self.variance))
        return variance.sqrt()


class FittedNormal(Normal):
    """The normal `around` whose `log_prob` takes the sigma, 0-d, that `fit` finds for the mean squared error, 0-d."""

    def __init__(self, around: Normal, fit: Callable[[Tensor], Tensor]) -> None:
        super().__init__(around.loc, around.scale, validate_args=False)
        self.fit = fit

    def log_prob(self, value: Tensor) -> Tensor:
        sigma = self.fit((value - self.loc).square().mean())
        return Normal(self.loc, sigma, validate_args=False).log_prob(value)
