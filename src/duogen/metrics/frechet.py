"""Frechet distances between Gaussians fitted to the features of two sets of examples."""

from collections.abc import Sequence
from math import nan
from typing import Any

import torch
from torch import Tensor

from duogen.metrics.extractor import Extractor
from duogen.metrics.gallery import FeatureMeasure
from duogen.metrics.side import Derived, Side
from duogen.records import Fact

BLOCK = 2048


def moments(features: Tensor) -> Derived:
    """`mean` (F,) and unbiased `covariance` (F, F) in float64 of features (N, F), N >= 2.

    S = sum_n (x_n - m)(x_n - m)^T / (N - 1), in blocks of 2,048 examples: 16 KiB F beside the result.
    """
    mean = sum_of(features) / len(features)
    covariance = features.new_zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for block in features.split(BLOCK):
        centred = block.double() - mean
        covariance.addmm_(centred.T, centred)
    return {"mean": mean, "covariance": covariance / (len(features) - 1)}


def sum_of(features: Tensor) -> Tensor:
    return torch.stack([block.sum(0, dtype=torch.float64) for block in features.split(BLOCK)]).sum(0)


def factor(covariance: Tensor) -> Tensor:
    """L (F, R) with S = L L^T of a covariance (F, F): Cholesky's where S is definite, else from eigenvectors."""
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return lower
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    kept = eigenvalues > 0
    return vectors[:, kept] * eigenvalues[kept].sqrt()


def mean_and_factor(features: Tensor) -> Derived:
    """`mean` (F,) and `factor` (F, R) of the covariance in float64: all that a Frechet distance needs of one side."""
    if len(features) > features.shape[1]:
        found = moments(features)
        return {"mean": found["mean"], "factor": factor(found["covariance"])}
    mean = sum_of(features) / len(features)
    return {"mean": mean, "factor": (features.double() - mean).T / (len(features) - 1) ** 0.5}


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, factor2: Tensor) -> Tensor:
    """The squared Frechet distance between N(m1, S1) and N(m2, S2), S2 = L L^T.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), and S1 S2 has the eigenvalues other than 0 of L^T S1 L,
    which is symmetric. Those that rounding made negative count as 0, so that covariances may be singular. NaN where S1
    is not finite.

    Means (F,), S1 (F, F), L (F, R), all of one dtype; 0-d, >= 0. Dowson & Landau 1982; Heusel et al. 2017, eq. 6.
    """
    if not cov1.isfinite().all():
        return mean1.new_tensor(nan)
    overlap = torch.linalg.eigvalsh(factor2.T @ cov1 @ factor2).clamp(min=0).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + factor2.square().sum() - 2 * overlap
    return distance.clamp(min=0)


def between(generated: Side, real: Side) -> Tensor:
    """d^2 between two sides of at least 2 examples each; what the real side contributes is computed once."""
    first, second = generated.derived("moments", moments), real.derived("factor", mean_and_factor)
    return frechet_distance(first["mean"], first["covariance"], second["mean"], second["factor"])


class Frechet(FeatureMeasure):
    """The Frechet distance between two sets of features: d^2 between Gaussians of their means and unbiased covariances.

    Value `frechet_<extractor>`, and `fid` on Inception alone: a squared distance in units of the features. It falls
    with the number of examples, hence compare at equal counts, beside real against real. With no more examples than
    features a covariance is singular: that is remarked on, and stands in the protocol.

    `extractor`: of the features. Memory is about 40 F^2 bytes, time grows with F^3. Raises UserError at `compute` with
    fewer than 2 examples on a side. Heusel et al. 2017, eq. 6.
    """

    name = "frechet"
    each = ""
    on_inception = "fid"

    def __init__(self, extractor: Extractor) -> None:
        super().__init__(extractor)
        self.title = self.titled(self.name, {"inception": self.on_inception})
        self.facts = {self.title: Fact(unit="distance^2", higher_is_better=False)}

    def values(self) -> dict[str, Tensor]:
        self.require(2, "n_generated", "n_real")
        return {self.title: between(self.collected.generated, self.collected.real)}

    @property
    def least(self) -> int:
        """The fewest examples from which a covariance was estimated."""
        return min(self._counted.values())

    def remarks(self) -> Sequence[str]:
        """That a covariance is singular for want of examples."""
        if not 0 < self.least <= self.extractor.feature_dim:
            return ()
        enough = f"{self.extractor.feature_dim + 1} or more examples{self.each} on both sides"
        return [
            f"{self.title} fits {self.extractor.feature_dim} dimensions to as few as {self.least} examples: "
            f"compare it at equal counts, beside real data, or take {enough}"
        ]

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "estimator": "Gaussian moments in float64",
            "ddof": 1,
            "least_examples": self.extractor.feature_dim + 1,
            "too_few_examples": self.least <= self.extractor.feature_dim,
        }
