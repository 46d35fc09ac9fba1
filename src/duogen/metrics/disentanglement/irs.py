"""The interventional robustness score of Suter et al."""

import numpy as np

from duogen.metrics.disentanglement.encoded import Encoded, Floats, Integers
from duogen.metrics.disentanglement.information import binned


def interventional_robustness(encoded: Encoded, quantile: float, bins: int) -> float:
    """IRS = sum_j w_j max_k (1 - EMPIDA_jk / w_j) / sum_j w_j, w_j = max_n |z_nj - mean z_j|; in [0, 1].

    EMPIDA_jk is the mean over the values of factor k of the `quantile` of |z_j - mean z_j| among the examples with that
    value, 1 for the paper's maximum. Factors of more than `bins` values are cut into equal bins. Dimensions of one
    value have no weight; 0 where all are. Suter et al. 2019, section 3, with the quantile and the bins of Locatello et
    al. 2019.
    """
    codes = encoded.codes[:, encoded.live]
    if not codes.size:
        return 0.0
    most = np.abs(codes - codes.mean(0)).max(0)
    moved = np.stack([deviations(codes, factor, quantile) for factor in binned(encoded.factors, bins).T], 1)
    return float(np.average((1 - moved / most[:, None]).max(1), weights=most))


def deviations(codes: Floats, factor: Integers, quantile: float) -> Floats:
    """The mean over a factor's values of the quantile (Z,) of the codes' distances to their mean at that value."""
    found = []
    for value in np.unique(factor):
        alike = codes[factor == value]
        found.append(np.quantile(np.abs(alike - alike.mean(0)), quantile, axis=0))
    return np.mean(found, axis=0)
