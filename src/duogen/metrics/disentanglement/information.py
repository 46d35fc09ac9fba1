"""Mutual information of codes in bins and of factors."""

import numpy as np
from scipy.special import rel_entr

from duogen.metrics.disentanglement.encoded import Floats, Integers


def binned(values: Floats | Integers, bins: int) -> Integers:
    """Bin numbers (N, Z) in 0..bins - 1, each column of `values` (N, Z) cut into bins of equal width.

    The bins of a column reach from its least to its greatest value; a column of one value lies in one bin.
    """
    edges = [np.linspace(column.min(), column.max(), bins + 1)[1:-1] for column in values.T]
    return np.stack([np.digitize(column, cuts) for column, cuts in zip(values.T, edges, strict=True)], 1)


def shared(first: Integers, second: Integers) -> float:
    """I(a; b) = sum_ab p(a, b) ln(p(a, b) / p(a) p(b)) in nats, of two columns (N,) of integers >= 0; >= 0.

    I(a; a) is the entropy of a.
    """
    height, width = int(first.max()) + 1, int(second.max()) + 1
    counts = np.bincount(first * width + second, minlength=height * width).reshape(height, width)
    joint = counts / len(first)
    return max(0.0, float(rel_entr(joint, joint.sum(1, keepdims=True) * joint.sum(0)).sum()))


def entropies(factors: Integers) -> Floats:
    """The entropies (K,) in nats of factors (N, K)."""
    return np.array([shared(factor, factor) for factor in factors.T])


def mutual_information(codes: Floats, factors: Integers, bins: int) -> Floats:
    """I(z_j; v_k) in nats, (Z, K), of codes (N, Z) in equal bins and factors (N, K)."""
    return np.array([[shared(code, factor) for factor in factors.T] for code in binned(codes, bins).T])
