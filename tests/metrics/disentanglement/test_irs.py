import numpy as np
import pytest

from duogen.metrics.disentanglement.irs import interventional_robustness
from metrics.disentanglement.truth import drawn, encoded, noisy, perfect, zero


def reference(part, quantile):
    scores, weights = [], []
    for code in part.codes.T:
        most = max(abs(code - code.mean()))
        best = -np.inf
        for factor in part.factors.T:
            moved = []
            for value in sorted(set(factor)):
                alike = code[factor == value]
                moved.append(np.quantile(abs(alike - alike.mean()), quantile))
            best = max(best, 1 - np.mean(moved) / most)
        scores.append(best)
        weights.append(most)
    return sum(s * w for s, w in zip(scores, weights, strict=True)) / sum(weights)


@pytest.mark.parametrize("quantile", [0.5, 0.99, 1.0])
def test_equals_loops(quantile):
    part = noisy()
    assert interventional_robustness(part, quantile, 20) == pytest.approx(reference(part, quantile), abs=1e-12)


def test_a_hand_made_value():
    """Mean 2, greatest distance 2; held at its values the factor leaves distances of 1 and 0."""
    part = encoded([[0.0], [2.0], [4.0], [4.0], [0.0], [2.0]], np.array([[0], [0], [1], [1], [0], [0]]))
    assert part.codes.mean() == 2
    assert interventional_robustness(part, 1.0, 20) == pytest.approx(1 - (1 + 0) / 2 / 2)


def test_anchors():
    assert 0.9 <= interventional_robustness(perfect(), 0.99, 20) <= 1.0
    assert interventional_robustness(zero(), 0.99, 20) == 0.0


def test_dead_dimensions_have_no_weight():
    part = noisy()
    wide = encoded(np.hstack([part.codes, np.full((400, 2), 0.1)]), part.factors)
    assert interventional_robustness(wide, 0.9, 20) == pytest.approx(interventional_robustness(part, 0.9, 20))


def test_factors_of_many_values_are_cut_into_bins():
    factors = drawn(500, (40, 3))
    part = encoded(np.random.default_rng(1).normal(size=(500, 2)), factors)
    coarse = encoded(part.codes, np.stack([factors[:, 0] // 10, factors[:, 1]], 1))
    assert factors[:, 0].min() == 0
    assert factors[:, 0].max() == 39
    found = interventional_robustness(part, 0.9, 4)
    assert found == pytest.approx(interventional_robustness(coarse, 0.9, 20))
    assert found != pytest.approx(interventional_robustness(part, 0.9, 40))
