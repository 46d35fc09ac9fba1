"""The maximum mean discrepancy between two samples, and the kernels that it is measured by."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from duogen.errors import UserError


class Kernel(ABC):
    """A positive definite function of two codes that depends on their distance."""

    @abstractmethod
    def __call__(self, squares: Tensor, dimension: int) -> Tensor:
        """k at the squared distances (A, B) of codes of `dimension` Z."""


class Gaussian(Kernel):
    """k(x, y) = exp(-||x - y||^2 / (scale Z^2)), scale > 0, that is a variance of scale Z^2 / 2.

    Raises `UserError` for a scale that is not positive. Source: Zhao et al. 2019, the authors' code, of scale 1.
    """

    def __init__(self, scale: float) -> None:
        self.scale = positive("Gaussian", [scale])[0]

    def __call__(self, squares: Tensor, dimension: int) -> Tensor:
        return (-squares / (self.scale * dimension**2)).exp()


class InverseMultiquadratic(Kernel):
    """k(x, y) = sum_s C_s / (C_s + ||x - y||^2),  C_s = 2 Z s, s the scales; 2 Z is E ||x - y||^2 under N(0, I).

    Raises `UserError` for scales that are none or not positive.
    Source: Tolstikhin et al. 2018, section 4; the sum over scales is the authors' code's.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        self.scales = positive("InverseMultiquadratic", scales)

    def __call__(self, squares: Tensor, dimension: int) -> Tensor:
        bases = [2 * dimension * scale for scale in self.scales]
        return torch.stack([base / (base + squares) for base in bases]).sum(0)


def discrepancy(kernel: Kernel, codes: Tensor, others: Tensor, diagonal: bool) -> Tensor:
    """The squared MMD, 0-d, of codes (A, Z) and others (B, Z): E k(x, x') + E k(y, y') - 2 E k(x, y).

    Means over all pairs, those of a code with itself among them, are the V-statistic, >= 0 and too large by O(1/A);
    without the `diagonal`, the U-statistic, unbiased and sometimes negative.
    Raises `UserError` for fewer than two codes without the diagonal. Source: Gretton et al. 2012, eq. 3 and 5.
    """
    same = [within(kernel, sample, diagonal) for sample in (codes, others)]
    return same[0] + same[1] - 2 * kernel(squared(codes, others), codes.shape[1]).mean()


def within(kernel: Kernel, codes: Tensor, diagonal: bool) -> Tensor:
    count, dimension = codes.shape
    values = kernel(squared(codes, codes), dimension)
    if diagonal:
        return values.mean()
    if count < 2:
        raise UserError("a discrepancy of one code", "two examples or more on each rank", "raise data.batch_size")
    return (values.sum() - values.diagonal().sum()) / (count * (count - 1))


def squared(codes: Tensor, others: Tensor) -> Tensor:
    """Squared distances (A, B) of codes (A, Z) and others (B, Z)."""
    return (codes.unsqueeze(1) - others).square().sum(2)


def believed(prior: Distribution, count: int) -> Tensor:
    """Codes (N, Z) of the prior, differentiable in its parameters where it can be."""
    draw = prior.rsample if prior.has_rsample else prior.sample
    return draw(torch.Size([count]))


def positive(kernel: str, scales: Sequence[float]) -> Sequence[float]:
    if not scales or not all(scale > 0 for scale in scales):
        raise UserError(f"{kernel}: scale {scales}", "one or more numbers above 0", "e.g. 1.0")
    return scales
