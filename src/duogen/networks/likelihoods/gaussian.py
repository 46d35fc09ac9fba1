"""Values that are normal around what the decoder says, all as far."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from duogen.errors import UserError
from duogen.networks.likelihoods.bounded import bounded, require_scale
from duogen.networks.likelihoods.continuous import ContinuousLikelihood


class Gaussian(ContinuousLikelihood):
    """p(x | z) = N(x; numbers, sigma^2 I), with its normalising constant.

    Args:
        shape: (C, H, W) or (D,).
        levels: grey levels of the images, >= 2.
        dequantise: whether images get the noise of one level.
        sigma: > 0, in units of the examples: 1 is half of an image's range.
    Raises `UserError` for a sigma that is not above 0. Source: Kingma and Welling 2014, appendix C.2, sigma fixed.
    """

    outputs = 1

    def __init__(self, shape: Sequence[int], levels: int, dequantise: bool, sigma: float) -> None:
        super().__init__(shape, levels, dequantise)
        if not 0 < sigma < math.inf:
            raise UserError(f"Gaussian: sigma={sigma}", "a number above 0", "set sigma, for example to 0.1")
        self.sigma = sigma

    def forward(self, numbers: Tensor) -> Distribution:
        return Independent(Normal(numbers, self.sigma, validate_args=False), len(self.shape), validate_args=False)


class SharedGaussian(ContinuousLikelihood):
    """p(x | z) = N(x; numbers, sigma^2 I), one sigma that is learned for all values of all examples.

    log sigma = B tanh(s / B), B = -log least, s a parameter that starts at 0: sigma starts at 1, and stays softly
    within [least, 1 / least].

    Args:
        shape: (C, H, W) or (D,).
        levels: grey levels of the images, >= 2.
        dequantise: whether images get the noise of one level; without it sigma falls to `least` where a decoder can
            tell the levels exactly.
        least: sigma's lower bound, in (0, 1), in units of the examples.
    Raises `UserError` for a `least` outside (0, 1). Source: Rybkin et al. 2021, the shared variance.
    """

    outputs = 1

    def __init__(self, shape: Sequence[int], levels: int, dequantise: bool, least: float) -> None:
        super().__init__(shape, levels, dequantise)
        require_scale(least, "SharedGaussian")
        self.bound = -math.log(least)
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, numbers: Tensor) -> Distribution:
        sigma = bounded(self.log_sigma, self.bound).exp()
        return Independent(Normal(numbers, sigma, validate_args=False), len(self.shape), validate_args=False)
