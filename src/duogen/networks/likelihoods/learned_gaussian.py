"""Values that are normal around what the decoder says, each as far as the decoder says."""

import math
from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from duogen.networks.likelihoods.bounded import bounded, require_scale
from duogen.networks.likelihoods.continuous import ContinuousLikelihood


class LearnedGaussian(ContinuousLikelihood):
    """p(x | z) = prod_d N(x_d; mu_d, sigma_d^2), mu_d and log sigma_d the two numbers of a value, in this order.

    log sigma = B tanh(s / B), B = -log least, s the number: sigma stays softly within [least, 1 / least].

    Args:
        shape: (C, H, W) or (D,).
        levels: grey levels of the images, >= 2.
        dequantise: whether images get the noise of one level; without it a value that is always the same, or always
            one of few levels, draws its sigma to `least`, and the density says nothing but that.
        least: sigma's lower bound, in (0, 1), in units of the examples.
    Raises `UserError` for a `least` outside (0, 1). Source: Kingma and Welling 2014, appendix C.2; the bound is ours.
    """

    outputs = 2

    def __init__(self, shape: Sequence[int], levels: int, dequantise: bool, least: float) -> None:
        super().__init__(shape, levels, dequantise)
        require_scale(least, "LearnedGaussian")
        self.bound = -math.log(least)

    def forward(self, numbers: Tensor) -> Distribution:
        event = len(self.shape)
        mean, log_sigma = numbers.unflatten(-event, (2, -1)).unbind(-event - 1)
        sigma = bounded(log_sigma, self.bound).exp()
        return Independent(Normal(mean, sigma, validate_args=False), event, validate_args=False)
