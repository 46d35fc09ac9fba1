"""Frechet distances between Gaussians fitted to two sets of examples."""

from collections.abc import Mapping, Sequence
from math import nan, prod
from typing import Any, ClassVar

import torch
from torch import Tensor

from duogen.metrics.measure import Measure
from duogen.records import Examples, Fact


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """The squared Frechet distance between N(m1, S1) and N(m2, S2).

    d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), with tr (S1 S2)^(1/2) = tr (S1^(1/2) S2 S1^(1/2))^(1/2),
    whose root is of a symmetric matrix. Eigenvalues that rounding made negative count as 0, so covariances may be
    singular. NaN where a covariance is not finite.

    Means (D,) and covariances (D, D), all of one dtype; 0-d, >= 0. Dowson & Landau 1982; Heusel et al. 2017, eq. 6.
    """
    if not (cov1.isfinite().all() and cov2.isfinite().all()):
        return mean1.new_tensor(nan)
    eigenvalues, vectors = torch.linalg.eigh(cov1)
    root = (vectors * eigenvalues.clamp(min=0).sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ cov2 @ root).clamp(min=0).sqrt().sum()
    return ((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * overlap).clamp(min=0)


def moments(count: Tensor, total: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and unbiased covariance (D, D) from n, sum x (D,) and sum x x^T (D, D)."""
    mean = total / count
    return mean, (outer - count * mean.outer(mean)) / (count - 1)


class FrechetPixels(Measure):
    """The Frechet distance on raw pixels: d^2 between the Gaussians with the sets' means and unbiased covariances.

    Value `frechet_pixels`: a squared distance in units of the pixels, which lie in [-1, 1]. It falls with the number of
    examples, hence compare at equal counts, beside real against real. No FID: there is no Inception network.

    `shape`: of one example, (C, H, W) or (D,). Memory is 32 D^2 bytes and time grows with D^3: for D up to a few
    thousands. Raises UserError at `compute` with fewer than 2 examples on a side. Heusel et al. 2017, eq. 6.
    """

    name: ClassVar[str] = "frechet_pixels"
    facts: ClassVar[Mapping[str, Fact]] = {"frechet_pixels": Fact(unit="px^2", higher_is_better=False)}

    sum_generated: Tensor
    sum_real: Tensor
    outer_generated: Tensor
    outer_real: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape)
        size = prod(shape)
        for side in ("generated", "real"):
            self.add_state(f"sum_{side}", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state(f"outer_{side}", torch.zeros(size, size, dtype=torch.float64), dist_reduce_fx="sum")

    def accumulate(self, generated: Examples, real: Examples) -> None:
        fakes, reals = self.rows(generated.values), self.rows(real.values)
        self.sum_generated += fakes.sum(0)
        self.sum_real += reals.sum(0)
        self.outer_generated += fakes.T @ fakes
        self.outer_real += reals.T @ reals

    def values(self) -> dict[str, Tensor]:
        self.require(2, "n_generated", "n_real")
        distance = frechet_distance(
            *moments(self.n_generated, self.sum_generated, self.outer_generated),
            *moments(self.n_real, self.sum_real, self.outer_real),
        )
        return {"frechet_pixels": distance}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "extractor": "none",
            "space": "pixels in [-1, 1]",
            "quantised": False,
            "estimator": "Gaussian moments in float64",
            "ddof": 1,
        }
