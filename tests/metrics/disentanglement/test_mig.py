import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from duogen.metrics.disentanglement.mig import mutual_information_gap
from metrics.disentanglement.truth import encoded, noisy, perfect, twice, zero


def reference(part, bins):
    total = 0.0
    for factor in part.factors.T:
        known = []
        for code in part.codes.T:
            known.append(mutual_info_score(factor, np.digitize(code, np.histogram(code, bins)[1][:-1])))
        best, second = sorted(known, reverse=True)[:2]
        total += (best - second) / mutual_info_score(factor, factor)
    return total / part.factors.shape[1]


@pytest.mark.parametrize("bins", [4, 20])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_loops_over_scikit_learn(bins, seed):
    part = noisy(seed=seed)
    assert mutual_information_gap(part, bins) == pytest.approx(reference(part, bins), abs=1e-12)


def test_anchors():
    assert 0.9 <= mutual_information_gap(perfect(), 20) <= 1.0
    assert 0.0 <= mutual_information_gap(zero(), 20) <= 0.2
    assert 0.0 <= mutual_information_gap(twice(), 20) <= 0.1


def test_half_a_factor_of_two_bits():
    """Four equal values of which the code tells two halves apart: ln 2 / ln 4."""
    factors = (np.arange(40) % 4)[:, None]
    assert mutual_information_gap(encoded(factors // 2, factors), 20) == pytest.approx(0.5)
