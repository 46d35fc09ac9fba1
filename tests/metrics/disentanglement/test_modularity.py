import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from duogen.metrics.disentanglement.information import mutual_information
from duogen.metrics.disentanglement.modularity import areas_under_roc, explicitness, modularity
from metrics.disentanglement.truth import drawn, encoded, halves, noisy, perfect, shuffled, twice


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (np.diag([5.0] * 5), 1.0),
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 2 / 3),
        (np.zeros((10, 10)), 0.0),
        (np.vstack([np.diag([5.0] * 5)] * 2), 1.0),
        (np.diag([5.0] * 5)[:2], 1.0),
        (np.hstack([np.diag([5.0] * 5)] * 2), 1 - 1 / 9),
        (np.array([[2.0], [0.0]]), 0.5),
    ],
    ids=[
        "one for one",
        "dead dimension",
        "nothing",
        "twice",
        "missed factors",
        "one code for two of ten",
        "one factor",
    ],
)
def test_exact_values(information, expected):
    assert modularity(information) == pytest.approx(expected, abs=1e-12)


def test_equals_loops():
    information = np.random.default_rng(0).uniform(size=(4, 3))
    total = 0.0
    for row in information:
        best = row.argmax()
        total += 1 - sum(row[k] ** 2 for k in range(3) if k != best) / (row[best] ** 2 * 2)
    assert modularity(information) == pytest.approx(total / 4, abs=1e-12)


@pytest.mark.parametrize(("made", "low", "high"), [(perfect, 0.9, 1.0), (twice, 0.9, 1.0), (shuffled, 0.0, 0.2)])
def test_anchors(made, low, high):
    part = made(count=20000)
    assert low <= modularity(mutual_information(part.codes, part.factors, 20)) <= high


def test_areas_equal_scikit_learn_with_ties():
    rng = np.random.default_rng(1)
    scores, hits = rng.integers(6, size=(50, 3)).astype(float), rng.uniform(size=(50, 3)) < 0.4
    expected = [roc_auc_score(hit, score) for hit, score in zip(hits.T, scores.T, strict=True)]
    assert areas_under_roc(scores, hits) == pytest.approx(expected, abs=1e-12)


def test_explicitness_equals_scikit_learn():
    train, test = halves(noisy())
    mean, spread = train.codes.mean(0), train.codes.std(0)
    expected = []
    for known, asked in zip(train.factors.T, test.factors.T, strict=True):
        classifier = LogisticRegression().fit((train.codes - mean) / spread, known)
        scores = classifier.predict_proba((test.codes - mean) / spread)
        expected.append(np.mean([roc_auc_score(asked == value, scores[:, value]) for value in classifier.classes_]))
    assert explicitness(train, test) == pytest.approx(np.mean(expected), abs=1e-9)


def test_codes_that_say_all_or_nothing():
    factors = drawn(300, (2, 3))
    said = np.hstack([factors == value for value in range(3)])
    assert explicitness(encoded(said, factors), encoded(said, factors)) == pytest.approx(1.0)
    nothing = encoded(np.zeros((300, 4)), factors)
    assert explicitness(nothing, nothing) == pytest.approx(0.5)


def test_values_that_cannot_be_asked_for_are_left_out():
    """Value 2 is not taught, value 3 not asked, and of the last factor the test has one value alone."""
    train = np.array([[0, 0], [1, 1], [3, 0], [0, 1], [1, 0], [3, 1]])
    test = np.array([[0, 0], [1, 0], [2, 0]])
    found = explicitness(encoded(train[:, :1] == [0, 1, 3], train), encoded(test[:, :1] == [0, 1, 3], test))
    assert found == pytest.approx((1.0 + 0.5) / 2)
