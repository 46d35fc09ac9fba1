"""Disentanglement, completeness and informativeness of Eastwood and Williams."""

from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
from scipy.special import entr

from duogen.metrics.disentanglement.encoded import Encoded, Floats


@dataclass(frozen=True)
class Importances:
    """How much each dimension counts for each factor, `matrix` (Z, K) >= 0, and the accuracy of the predictions."""

    matrix: Floats
    accuracy: float


def importances(train: Encoded, test: Encoded, trees: int, spare_depth: int, seed: int) -> Importances:
    """What random forests make of the codes, one forest for each factor: fitted to `train`, its accuracy from `test`.

    Trees are ceil(log2 V) + `spare_depth` deep, V the number of the factor's values: enough to tell all apart, and too
    few to learn noise by heart. All dimensions stand for choice at each split. The importance of a dimension is the
    mean decrease of Gini's impurity at its splits, 1 in sum over dimensions.
    """
    from sklearn.ensemble import RandomForestClassifier

    found, hits = [], []
    for values, expected in zip(train.factors.T, test.factors.T, strict=True):
        depth = ceil(log2(len(np.unique(values)))) + spare_depth
        limits: dict[str, Any] = {"max_depth": depth, "max_features": None}
        forest = RandomForestClassifier(trees, random_state=seed, **limits)
        found.append(forest.fit(train.codes, values).feature_importances_)
        hits.append((forest.predict(test.codes) == expected).mean())
    return Importances(np.stack(found, 1), float(np.mean(hits)))


def disentanglement(matrix: Floats) -> float:
    """D = sum_j rho_j (1 - H_K(P_j)), P_jk = R_jk / sum_k R_jk, rho_j = sum_k R_jk / sum_jk R_jk; in [0, 1].

    `matrix`: R (Z, K) >= 0; H_K is the entropy to the base K. 0 where R is; with K = 1 no dimension can be entangled.
    Eastwood and Williams 2018, section 2.
    """
    rows = matrix.sum(1, keepdims=True)
    shares = matrix / np.where(rows > 0, rows, 1)
    entropy = entr(shares).sum(1) / np.log(max(matrix.shape[1], 2))
    return float(((1 - entropy) * rows[:, 0]).sum() / (rows.sum() or 1))


def completeness(matrix: Floats) -> float:
    """C = sum_k rho_k (1 - H_Z(P_k)): the disentanglement of R^T, factors in the place of dimensions; in [0, 1]."""
    return disentanglement(matrix.T)
