"""Scores of groups of examples that share the value of one factor: can it be told which factor it is?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from duogen.errors import UserError
from duogen.metrics.alignment import SCORE
from duogen.metrics.disentanglement.beta_vae import beta_vae_score
from duogen.metrics.disentanglement.encoded import Encoded
from duogen.metrics.disentanglement.factor_vae import factor_vae_score
from duogen.metrics.factors import FactorMeasure
from duogen.records import Fact


class FactorVaeScore(FactorMeasure):
    """The FactorVAE score: whether the dimension that varies least in a group tells the factor that the group shares.

    Value `factor_vae_score`, the accuracy of a majority vote, in [0, 1]; 1 / K by chance, 0 where all dimensions are
    dead. Groups are drawn with replacement from all held-out examples.

    `factors`: name to number of values; `train`, `test`: groups; `size`: examples of a group, 2 or more;
    `least_spread`: dimensions of a smaller standard deviation, >= 0, have no vote, nor have dead ones; `seed`: of the
    draws. Raises UserError for size < 2 and least_spread < 0. Kim and Mnih 2018, section 4.
    """

    name = "factor_vae_score"
    facts: Mapping[str, Fact] = {"factor_vae_score": SCORE}
    validates = False

    def __init__(
        self, factors: Mapping[str, int], train: int, test: int, size: int, least_spread: float, seed: int
    ) -> None:
        if size < 2 or not least_spread >= 0:
            given = f"{self.name} was given size={size}, least_spread={least_spread}"
            raise UserError(given, "size >= 2, least_spread >= 0", "e.g. size=64, least_spread=0.0")
        super().__init__(factors, {}, seed)
        self.require_counts({"train": train, "test": test})
        self.train_groups, self.test_groups, self.size, self.least_spread = train, test, size, least_spread

    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        settings = self.train_groups, self.test_groups, self.size, self.least_spread
        return {"factor_vae_score": factor_vae_score(drawn[0], *settings, rng)}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "train": self.train_groups,
            "test": self.test_groups,
            "size": self.size,
            "least_spread": self.least_spread,
            "estimator": "majority vote of the least normalised variance; groups with replacement",
        }


class BetaVaeScore(FactorMeasure):
    """The beta-VAE score: whether a linear classifier tells the factor that pairs of examples share.

    Value `beta_vae_score`, the accuracy of logistic regression on the means of |z_1 - z_2|, in [0, 1]; 1 / K by chance.
    Pairs are drawn with replacement from all held-out examples.

    `factors`: name to number of values; `train`, `test`: points; `size`: pairs of a point; `seed`: of the draws.
    Higgins et al. 2017, section 3.
    """

    name = "beta_vae_score"
    facts: Mapping[str, Fact] = {"beta_vae_score": SCORE}
    validates = False

    def __init__(self, factors: Mapping[str, int], train: int, test: int, size: int, seed: int) -> None:
        super().__init__(factors, {}, seed)
        self.require_counts({"train": train, "test": test, "size": size})
        self.train_points, self.test_points, self.size = train, test, size

    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        settings = self.train_points, self.test_points, self.size
        return {"beta_vae_score": beta_vae_score(drawn[0], *settings, rng)}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {
            "train": self.train_points,
            "test": self.test_points,
            "size": self.size,
            "estimator": "multinomial logistic regression (scikit-learn); pairs with replacement",
        }
