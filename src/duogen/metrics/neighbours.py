"""Precision, recall, density and coverage: whether each set lies where the other has its neighbours."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.extractor import Extractor
from duogen.metrics.gallery import FeatureMeasure
from duogen.metrics.side import Derived
from duogen.records import Fact

BLOCK = 2048
ROUNDING = 1e-12


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2 (N, M) in float64, up to 1e-12 of |x_i|^2 + |y_j|^2, which may be below 0."""
    x, y = x.double(), y.double()
    return torch.addmm(y.square().sum(1), x, y.T, alpha=-2).add_(x.square().sum(1)[:, None])


def radii(features: Tensor, k: int) -> Derived:
    """`squared` (N,): the squared distance of each of the features (N, F) to its k-th neighbour, itself left out."""
    found = []
    for start in range(0, len(features), BLOCK):
        block, nearest = features[start : start + BLOCK], []
        for other in range(0, len(features), BLOCK):
            distances = squared_distances(block, features[other : other + BLOCK])
            if other == start:
                distances.fill_diagonal_(torch.inf)
            nearest.append(distances.topk(min(k, distances.shape[1]), dim=1, largest=False).values)
        found.append(torch.cat(nearest, 1).topk(k, dim=1, largest=False).values.amax(1))
    return {"squared": torch.cat(found)}


def closed(squared: Tensor, features: Tensor) -> Tensor:
    """Squared radii (N,) around features (N, F), so much wider that rounding puts no point of the rim outside."""
    return squared + 2 * ROUNDING * features.double().square().sum(1)


def proportions(generated: Tensor, real: Tensor, radii1: Tensor, radii2: Tensor, k: int) -> tuple[Tensor, ...]:
    """Precision, recall, density and coverage, 0-d, of features (N, F) and (M, F) with squared radii (N,) and (M,).

    With g_i generated, r_j real and B the closed ball of a point's radius:
    precision = mean_i [g_i in some B(r_j)], recall = mean_j [r_j in some B(g_i)],
    density = sum_ij [g_i in B(r_j)] / (k N), coverage = mean_j [some g_i in B(r_j)].
    """
    radii1, radii2 = closed(radii1, generated), closed(radii2, real)
    balls = torch.zeros(len(generated), dtype=torch.int64)
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool)
    for i in range(0, len(generated), BLOCK):
        for j in range(0, len(real), BLOCK):
            rows, columns = slice(i, i + BLOCK), slice(j, j + BLOCK)
            distances = squared_distances(generated[rows], real[columns])
            inside = distances <= radii2[columns]
            balls[rows] += inside.sum(1, dtype=torch.int32)
            covered[columns] |= inside.any(0)
            recalled[columns] |= (distances <= radii1[rows, None]).any(0)
    found = [(balls > 0).double(), recalled.double(), balls.double() / k, covered.double()]
    return tuple(part.mean() for part in found)


class Neighbours(FeatureMeasure):
    """Improved precision and recall, and density and coverage, by the k-th neighbours in a feature space.

    Values `precision_`, `recall_`, `density_` and `coverage_<extractor>`: shares in [0, 1], but density may exceed 1.
    The k-th neighbour of a point is sought in its own set without the point itself; balls are closed. Coverage of equal
    distributions is near 1 - 2^-k at equal counts, not 1. Swapped sets swap precision and recall.

    `extractor`: of the features; `k` >= 1. One pass over blocks of 2,048 x 2,048 distances in float64: about 150 MiB +
    32 KiB F beside the features. Raises UserError where k < 1, and at `compute` with fewer than k + 1 examples on a
    side. Kynkaanniemi et al. 2019, eq. 1 (precision, recall); Naeem et al. 2020, eq. 3 and 4 (density, coverage).
    """

    name = "neighbours"

    def __init__(self, extractor: Extractor, k: int) -> None:
        if k < 1:
            raise UserError(f"{self.name} was given k={k}", "k >= 1", "e.g. metrics.neighbours.k=5")
        super().__init__(extractor)
        self.k = k
        self.titles = [f"{stem}_{extractor.name}" for stem in ("precision", "recall", "density", "coverage")]
        self.facts = {title: Fact(unit="share", higher_is_better=True) for title in self.titles}

    def values(self) -> dict[str, Tensor]:
        self.require(self.k + 1, "n_generated", "n_real")
        sides = (self.collected.generated, self.collected.real)
        found = [side.derived(f"radii_{self.k}", partial(radii, k=self.k))["squared"] for side in sides]
        shares = proportions(sides[0].features, sides[1].features, found[0], found[1], self.k)
        return dict(zip(self.titles, shares, strict=True))

    def protocol(self) -> dict[str, Any]:
        estimator = "closed balls to the k-th neighbour without the point itself, Euclidean, float64"
        return super().protocol() | {"k": self.k, "estimator": estimator}
