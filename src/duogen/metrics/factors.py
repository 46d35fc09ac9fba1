"""What all measures of factors share: posterior means beside the factors that made the examples."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import nan, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.disentanglement.encoded import Encoded, fitting, parts, unravelled
from duogen.metrics.latent import Inference, LatentMeasure, means
from duogen.records import Examples
from duogen.seeds import derive


class FactorMeasure(LatentMeasure):
    """A score of the means of q(z | x) of held-out examples whose factors are known.

    An example's label is the row-major index of its factors. Factors that take one value alone count for nothing. The
    score's own draws are a function of `seed` and of the examples: neither batches nor ranks decide them. Where a code
    is no number, every value is NaN. Memory: 8 (Z + 1) bytes per example.

    `factors`: name to number of values, slowest first, one of them 2 or more; `asked`: how many points each disjoint
    part of the examples should hold. With fewer examples than that all parts shrink alike: that is remarked on, and
    stands in the protocol. Raises UserError for a grid without variation, for counts below 1, for examples without
    labels or with labels beyond the grid, and at `compute` where no factor varies.
    """

    codes: Tensor | list[Tensor]
    labels: Tensor | list[Tensor]

    def __init__(self, factors: Mapping[str, int], asked: Mapping[str, int], seed: int) -> None:
        if any(size < 1 for size in factors.values()) or prod(factors.values()) < 2:
            given = f"{self.name} was given factors={dict(factors)}"
            raise UserError(given, "one or more values each, two or more of one", "use factors=${data.factors}")
        self.require_counts(asked)
        super().__init__(shape=())
        self.factors, self.asked, self.seed = dict(factors), dict(asked), seed
        self.add_state("codes", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")
        self.reset()

    def require_counts(self, counts: Mapping[str, int]) -> None:
        """Raises UserError for a count below 1."""
        for name, count in counts.items():
            if count < 1:
                raise UserError(f"{self.name} was given {name}={count}", "1 or more", "leave it at its default")

    def reset(self) -> None:
        """Forgets the examples. Ranks without examples gather too, hence flat codes: their Z need not be known."""
        super().reset()
        self.codes = [torch.zeros(0, dtype=torch.float64, device=self.device)]
        self.labels = [torch.zeros(0, dtype=torch.int64, device=self.device)]

    def infer(self, model: Inference, real: Examples) -> None:
        codes = means(model.recognised(real))
        assert isinstance(self.codes, list)
        assert isinstance(self.labels, list)
        self.labels.append(self.indices(real).to(self.device))
        self.codes.append(codes.detach().to(self.device).double().flatten())

    def indices(self, real: Examples) -> Tensor:
        """The labels (N,) as indices into the grid."""
        most, remedy = prod(self.factors.values()), f"take data with factors, or leave {self.name} out of metrics"
        if real.labels is None:
            raise UserError(f"{self.name} was given examples without labels", "indices into a grid of factors", remedy)
        if real.count and not 0 <= int(real.labels.min()) <= int(real.labels.max()) < most:
            given = f"{self.name} was given labels from {int(real.labels.min())} to {int(real.labels.max())}"
            raise UserError(given, f"0 to {most - 1}, the grid of factors={self.factors}", remedy)
        return real.labels.detach().long()

    @property
    def encoded(self) -> Encoded:
        """All codes and factors, in an order of their content."""
        labels = joined(self.labels).cpu().numpy()
        codes = joined(self.codes).cpu().numpy().reshape(len(labels), -1)
        return Encoded(codes, unravelled(labels, list(self.factors.values())), list(self.factors)).ordered()

    def values(self) -> dict[str, Tensor]:
        self.require(2, "n_real")
        encoded = self.encoded
        if not np.isfinite(encoded.codes).all():
            return {name: torch.tensor(nan, dtype=torch.float64) for name in self.facts}
        drawn = self.parts(encoded)
        if not drawn[0].factors.shape[1]:
            given = f"{self.name} was computed from {encoded.count} examples in which no factor varies"
            raise UserError(given, "two values of one factor", "evaluate on more examples")
        found = self.scores(drawn, self.generator("scores"))
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}

    def parts(self, encoded: Encoded) -> list[Encoded]:
        """The disjoint parts that were asked for, or the whole where none were; without constant factors."""
        if not self.asked:
            return [encoded.of_factors(encoded.varying)]
        return parts(encoded, list(self.asked.values()), self.generator("parts"))

    @abstractmethod
    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        """The value of each fact, from the parts that were asked for; factors vary in the first part."""

    def generator(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(derive(self.seed, self.name, purpose))

    @property
    def fitted(self) -> dict[str, int]:
        """How many points each part holds, of the examples of the last `compute`."""
        sizes = fitting(list(self.asked.values()), self._counted["n_real"])
        return dict(zip(self.asked, sizes, strict=True))

    def remarks(self) -> Sequence[str]:
        """That there were fewer examples than were asked for."""
        if not self.asked or not 0 < self._counted["n_real"] < sum(self.asked.values()):
            return ()
        said = ", ".join(f"{self.fitted[name]} points for {name}={count}" for name, count in self.asked.items())
        return [f"{self.name} was computed from {said}: compare it at equal counts, or evaluate on more examples"]

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "extractor": "none",
            "space": "means of q(z | x)",
            "factors": self.factors,
            "draw_seed": self.seed,
            "drawn": self.fitted,
        }


def joined(state: Tensor | list[Tensor]) -> Tensor:
    return state if isinstance(state, Tensor) else torch.cat(state)
