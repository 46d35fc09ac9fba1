"""The sliced Wasserstein distance between two sets of features."""

from typing import Any

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.extractor import Extractor
from duogen.metrics.gallery import FeatureMeasure
from duogen.records import Fact

BLOCK, ROWS = 64, 512


def squared_wasserstein(first: Tensor, second: Tensor) -> Tensor:
    """W_2^2 (P,) between the columns of (N, P) and of (M, P), each column a set of points on a line.

    W_2^2 = int_0^1 (F^-1(u) - G^-1(u))^2 du over the sorted columns as step functions, exactly, for any N and M.
    """
    n, m = len(first), len(second)
    levels = torch.cat([m * torch.arange(1, n + 1), n * torch.arange(1, m + 1)]).sort().values
    widths = levels.diff(prepend=levels.new_zeros(1)).double() / (n * m)
    gaps = first.sort(0).values[(levels - 1) // m] - second.sort(0).values[(levels - 1) // n]
    return widths @ gaps.square()


def projected(features: Tensor, directions: Tensor) -> Tensor:
    """Features (N, F) along directions (F, P), (N, P) in float64."""
    return torch.cat([block.double() @ directions for block in features.split(ROWS)])


class SlicedWasserstein(FeatureMeasure):
    """The sliced Wasserstein distance: SW^2 = mean over unit directions d of W_2^2(d . generated, d . real).

    Value `sliced_wasserstein_<extractor>`: a distance in units of the features, >= 0. Unequal counts are compared by
    their quantile functions.

    `extractor`: of the features; `projections`: how many directions, uniform on the sphere, >= 1; `seed`: of their
    draw. Takes 64 directions and projects 512 examples at a time: about 4 KiB per example + 8 (P + 512) F bytes beside
    the features, P projections. Raises UserError where projections < 1, and at `compute` without examples on a side.
    Rabin et al. 2012, section 2.3.
    """

    name = "sliced_wasserstein"

    def __init__(self, extractor: Extractor, projections: int, seed: int) -> None:
        if projections < 1:
            raise UserError(f"{self.name} was given projections={projections}", "1 or more", "e.g. projections=1000")
        super().__init__(extractor)
        self.projections, self.seed = projections, seed
        self.title = f"{self.name}_{extractor.name}"
        self.facts = {self.title: Fact(unit="distance", higher_is_better=False)}

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_generated", "n_real")
        sides = (self.collected.generated.features, self.collected.real.features)
        found = [
            squared_wasserstein(*(projected(features, some) for features in sides))
            for some in self.directions().split(BLOCK, dim=1)
        ]
        return {self.title: torch.cat(found).mean().sqrt()}

    def directions(self) -> Tensor:
        """Unit vectors (F, P) in float64."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randn(self.projections, self.extractor.feature_dim, generator=generator, dtype=torch.float64)
        return torch.nn.functional.normalize(drawn, dim=1).T

    def protocol(self) -> dict[str, Any]:
        estimator = "root of the mean squared W_2 over random directions, quantile functions, float64"
        return super().protocol() | {
            "projections": self.projections,
            "projection_seed": self.seed,
            "estimator": estimator,
        }
