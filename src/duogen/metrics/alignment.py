"""Scores of how the dimensions of a code and the factors behind the examples correspond."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from duogen.errors import UserError, nearest
from duogen.metrics.disentanglement.dci import completeness, disentanglement, importances
from duogen.metrics.disentanglement.encoded import Encoded
from duogen.metrics.disentanglement.information import mutual_information
from duogen.metrics.disentanglement.irs import interventional_robustness
from duogen.metrics.disentanglement.mig import mutual_information_gap
from duogen.metrics.disentanglement.modularity import explicitness, modularity
from duogen.metrics.disentanglement.sap import attribute_predictability
from duogen.metrics.factors import FactorMeasure
from duogen.records import Fact

SCORE = Fact(unit="score", higher_is_better=True)


class Mig(FactorMeasure):
    """The mutual information gap: 1/K sum_k (I(z_j*; v_k) - max_{j != j*} I(z_j; v_k)) / H(v_k).

    Value `mig`, in [0, 1]: how much more the best dimension for a factor knows of it than the second best.

    `factors`: name to number of values; `bins`: of equal width into which a dimension is cut; `points`: how many
    examples; `seed`: of their choice. Chen et al. 2018, eq. 6; the histogram as Locatello et al. 2019.
    """

    name = "mig"
    facts: Mapping[str, Fact] = {"mig": SCORE}

    def __init__(self, factors: Mapping[str, int], bins: int, points: int, seed: int) -> None:
        super().__init__(factors, {"points": points}, seed)
        self.require_counts({"bins": bins})
        self.bins = bins

    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        return {"mig": mutual_information_gap(drawn[0], self.bins)}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"bins": self.bins, "estimator": "histogram of equal bins, plug-in information"}


class Sap(FactorMeasure):
    """Separated attribute predictability: by how much the best single dimension for a factor leads the second best.

    Value `sap`, in [0, 1], the mean over factors of the gap in accuracy of linear SVMs, or in R^2 for factors that are
    numbers. An SVM of one dimension cannot tell many ordered values apart, so that a perfect code of many values
    scores low unless its factors are called continuous.

    `factors`: name to number of values; `continuous`: the names of those that are numbers; `train`, `test`: how many
    examples; `seed`: of their choice. Raises UserError for a name that is no factor. Kumar et al. 2018, section 3.
    """

    name = "sap"
    facts: Mapping[str, Fact] = {"sap": SCORE}
    validates = False

    def __init__(self, factors: Mapping[str, int], continuous: Sequence[str], train: int, test: int, seed: int) -> None:
        for name in continuous:
            if name not in factors:
                given = f"{self.name} was given continuous={name}"
                raise UserError(given, ", ".join(nearest(name, factors)), "name factors of the data")
        super().__init__(factors, {"train": train, "test": test}, seed)
        self.continuous = list(continuous)

    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        train, test = drawn
        return {"sap": attribute_predictability(train, test, self.continuous)}

    def protocol(self) -> dict[str, Any]:
        estimator = "accuracy of a balanced linear SVM with C = 0.01, R^2 for continuous factors (scikit-learn)"
        return super().protocol() | {"continuous": self.continuous, "estimator": estimator}


class Dci(FactorMeasure):
    """Disentanglement, completeness and informativeness, from how much each dimension counts for each factor.

    `dci_disentanglement`: whether a dimension counts for one factor alone; `dci_completeness`: whether a factor needs
    one dimension alone; `dci_informativeness`: the accuracy of the predictions. All in [0, 1].

    The predictors are random forests whose depth follows the number of a factor's values: they come close to gradient
    boosted trees of depth 3 in a tenth of the time, but the two are two protocols.

    `factors`: name to number of values; `trees`: of a forest; `spare_depth`: beyond the depth that a factor's values
    need, >= 0; `train`, `test`: how many examples; `seed`: of their choice and of the forests. Raises UserError for
    spare_depth < 0. Eastwood and Williams 2018, section 2.
    """

    name = "dci"
    facts: Mapping[str, Fact] = {
        "dci_disentanglement": SCORE,
        "dci_completeness": SCORE,
        "dci_informativeness": SCORE,
    }
    validates = False

    def __init__(
        self, factors: Mapping[str, int], trees: int, spare_depth: int, train: int, test: int, seed: int
    ) -> None:
        if spare_depth < 0:
            raise UserError(f"{self.name} was given spare_depth={spare_depth}", "0 or more", "e.g. spare_depth=1")
        super().__init__(factors, {"train": train, "test": test}, seed)
        self.require_counts({"trees": trees})
        self.trees, self.spare_depth = trees, spare_depth

    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        train, test = drawn
        found = importances(train, test, self.trees, self.spare_depth, int(rng.integers(2**32)))
        return {
            "dci_disentanglement": disentanglement(found.matrix),
            "dci_completeness": completeness(found.matrix),
            "dci_informativeness": found.accuracy,
        }

    def protocol(self) -> dict[str, Any]:
        estimator = "random forests, depth ceil(log2 values) + spare_depth, all dimensions at a split (scikit-learn)"
        return super().protocol() | {"trees": self.trees, "spare_depth": self.spare_depth, "estimator": estimator}


class ModularityExplicitness(FactorMeasure):
    """Whether each dimension knows of one factor alone, and whether the values of a factor can be read off linearly.

    `modularity`, in [0, 1]; `explicitness`, the mean area under the ROC curves of logistic regressions, 0.5 by chance
    and 1 at best.

    `factors`: name to number of values; `bins`: of equal width into which a dimension is cut; `train`, `test`: how many
    examples; `seed`: of their choice. Ridgeway and Mozer 2018, section 3.
    """

    name = "modularity_explicitness"
    facts: Mapping[str, Fact] = {"modularity": SCORE, "explicitness": SCORE}
    validates = False

    def __init__(self, factors: Mapping[str, int], bins: int, train: int, test: int, seed: int) -> None:
        super().__init__(factors, {"train": train, "test": test}, seed)
        self.require_counts({"bins": bins})
        self.bins = bins

    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        train, test = drawn
        known = mutual_information(train.codes, train.factors, self.bins)
        return {"modularity": modularity(known), "explicitness": explicitness(train, test)}

    def protocol(self) -> dict[str, Any]:
        estimator = "histogram of equal bins, plug-in information; multinomial logistic regression (scikit-learn)"
        return super().protocol() | {"bins": self.bins, "estimator": estimator}


class Irs(FactorMeasure):
    """The interventional robustness score: how little a dimension moves while one factor is held and others change.

    Value `irs`, in [0, 1]: for each dimension of its best factor, weighted by how far the dimension moves at all.

    `factors`: name to number of values; `quantile`: of the movements, in (0, 1], 1 for the paper's maximum; `bins`:
    into which factors of more values are cut; `points`: how many examples; `seed`: of their choice. Raises UserError
    for a quantile outside. Suter et al. 2019, section 3; quantile and bins as Locatello et al. 2019.
    """

    name = "irs"
    facts: Mapping[str, Fact] = {"irs": SCORE}

    def __init__(self, factors: Mapping[str, int], quantile: float, bins: int, points: int, seed: int) -> None:
        if not 0 < quantile <= 1:
            raise UserError(f"{self.name} was given quantile={quantile}", "more than 0, up to 1", "e.g. quantile=0.99")
        super().__init__(factors, {"points": points}, seed)
        self.require_counts({"bins": bins})
        self.quantile, self.bins = quantile, bins

    def scores(self, drawn: Sequence[Encoded], rng: np.random.Generator) -> Mapping[str, float]:
        return {"irs": interventional_robustness(drawn[0], self.quantile, self.bins)}

    def protocol(self) -> dict[str, Any]:
        estimator = "quantile of the distance to the mean, weighted by the greatest distance"
        return super().protocol() | {"quantile": self.quantile, "bins": self.bins, "estimator": estimator}
