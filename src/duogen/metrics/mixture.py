"""What a generator found of a mixture of Gaussians whose means are known."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.measure import Measure
from duogen.records import Examples, Fact

WITHIN = 3.0


class MixtureModes(Measure):
    """How many modes the generated points cover, how near they lie, and how evenly they spread.

    A point is of high quality where the Euclidean distance to its nearest mean is at most 3 std. With c_k such points
    at mode k of K, c = sum_k c_k and p_k = c_k / c:

    - `modes_found` = |{k: c_k > 0}|, in 0..K;
    - `high_quality` = c / n, in [0, 1]; in two dimensions the mixture itself reaches 1 - exp(-9/2) = 0.989;
    - `mode_entropy_gap` = ln K + sum_k p_k ln p_k = KL(p || uniform), in nats, in [0, ln K]; ln K where c = 0.
      A perfect generator has about (K - 1) / (2 c), not 0.

    `means`: K means of D coordinates; `std`: the standard deviation of every mode in every direction, > 0.
    Points are (N, D); the real ones are counted but not used. Raises UserError where the means are empty or of unequal
    length, where std <= 0, and at `compute` without generated points.
    Srivastava et al. 2017; Lin et al. 2018, section 4.1.
    """

    name: ClassVar[str] = "mixture_modes"
    facts: Mapping[str, Fact] = {
        "modes_found": Fact(unit="modes", higher_is_better=True),
        "high_quality": Fact(unit="share", higher_is_better=True),
        "mode_entropy_gap": Fact(unit="nats", higher_is_better=False),
    }

    means: Tensor
    hits: Tensor

    def __init__(self, means: Sequence[Sequence[float]], std: float) -> None:
        lengths = sorted({len(mean) for mean in means})
        if len(lengths) != 1 or lengths == [0]:
            raise UserError(
                f"{self.name} was given {len(means)} means with {lengths} coordinates",
                "at least one mean, all with the same number of coordinates",
                "take them from the data: means=${data.means}",
            )
        if not std > 0:
            raise UserError(f"{self.name} was given std={std}", "std > 0", "take it from the data: std=${data.std}")
        super().__init__(shape=lengths)
        self.std = std
        self.register_buffer("means", torch.tensor(means, dtype=torch.float64), persistent=False)
        self.add_state("hits", torch.zeros(len(means), dtype=torch.int64), dist_reduce_fx="sum")

    def accumulate(self, generated: Examples, real: Examples) -> None:
        distances = torch.cdist(self.rows(generated.values), self.means, compute_mode="donot_use_mm_for_euclid_dist")
        nearest, mode = distances.min(dim=1)
        self.hits += torch.bincount(mode[nearest <= WITHIN * self.std], minlength=len(self.hits))

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_generated")
        shares = self.hits.double() / self.hits.sum().clamp(min=1)
        return {
            "modes_found": (self.hits > 0).sum().double(),
            "high_quality": self.hits.sum().double() / self.n_generated,
            "mode_entropy_gap": log(len(self.hits)) - torch.special.entr(shares).sum(),
        }

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "extractor": "none",
            "space": "points",
            "means": self.means.tolist(),
            "std": self.std,
            "within_std": WITHIN,
            "estimator": "high-quality points at their nearest mean; plug-in entropy",
        }
