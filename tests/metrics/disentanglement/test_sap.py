import numpy as np
import pytest
from scipy.optimize import minimize

from duogen.metrics.disentanglement.sap import accuracies, accuracy, attribute_predictability, determination
from metrics.disentanglement.truth import drawn, encoded, halves, noisy, perfect, twice, zero


def decision(code, positive, weight):
    """w, b of min (w^2 + b^2) / 2 + 0.01 sum_n c_n max(0, 1 - y_n (w x_n + b))^2, c_n `weight` for positives or 1."""
    signs, weights = np.where(positive, 1.0, -1.0), np.where(positive, weight, 1.0)

    def loss(line):
        slack = np.maximum(0, 1 - signs * (line[0] * code + line[1]))
        return (line @ line) / 2 + 0.01 * (weights * slack**2).sum()

    return minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x


def test_the_machine_is_the_balanced_one_against_rest():
    values = drawn(600, (3, 3)).min(1, keepdims=True)
    train, test = halves(encoded(values + 0.5 * np.random.default_rng(1).normal(size=(600, 1)), values))
    code, values, asked = train.codes[:, 0], train.factors[:, 0], test.codes[:, 0]
    balanced = len(values) / (3 * np.bincount(values))
    lines = np.array([decision(code, values == value, balanced[value]) for value in range(3)])
    found = (asked[:, None] * lines[:, 0] + lines[:, 1]).argmax(1)
    expected = (found == test.factors[:, 0]).mean()
    assert expected > 0.5
    assert accuracy(code, values, asked, test.factors[:, 0]) == pytest.approx(expected, abs=0.5 / 300)


def test_determination_is_the_squared_correlation():
    part = noisy()
    expected = np.corrcoef(part.codes, part.factors, rowvar=False)[:4, 4:] ** 2
    assert determination(part) == pytest.approx(expected, abs=1e-12)


def test_a_dead_dimension_determines_nothing():
    factors = drawn(30, (2, 3))
    codes = np.stack([np.full(30, 0.1), factors[:, 1]], 1)
    found = determination(encoded(codes, factors))
    assert found[0].tolist() == [0.0, 0.0]
    assert found[1, 1] == pytest.approx(1.0)


@pytest.mark.parametrize(("made", "low", "high"), [(perfect, 0.9, 1.0), (zero, 0.0, 0.2), (twice, 0.0, 0.2)])
def test_anchors(made, low, high):
    train, test = made(seed=0), made(seed=1)
    assert low <= attribute_predictability(train, test, train.names) <= high


def test_classes_alone():
    """Two balanced halves: the right dimension finds all, another one as many as chance."""
    train, test = perfect(2000, (2, 2, 2)), perfect(2000, (2, 2, 2), seed=1)
    assert attribute_predictability(train, test, []) == pytest.approx(0.5, abs=0.05)
    nothing = zero(300, (2, 3))
    assert attribute_predictability(nothing, nothing, []) == 0.0


def test_each_factor_is_taken_as_what_it_is():
    train, test = halves(noisy())
    scores = np.stack([*accuracies(train, test).T[:2], determination(train)[:, 2]], 1)
    best = np.sort(scores, axis=0)
    expected = (best[-1] - best[-2]).mean()
    assert attribute_predictability(train, test, ["factor_2"]) == pytest.approx(expected, abs=1e-12)
