import numpy as np
import pytest
import scipy.stats

from duogen.metrics.disentanglement.dci import completeness, disentanglement, importances
from metrics.disentanglement.truth import encoded, perfect, shuffled, twice, zero

FIVE = np.diag([5.0] * 5)
HALF = 1 - np.log(2) / np.log(10)


@pytest.mark.parametrize(
    ("matrix", "disentangled", "complete"),
    [
        (FIVE, 1.0, 1.0),
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1.0, 1.0),
        (np.zeros((10, 10)), 0.0, 0.0),
        (np.vstack([FIVE, FIVE]), 1.0, HALF),
        (np.hstack([FIVE, FIVE]), HALF, 1.0),
        (FIVE[:2], 1.0, 1.0),
        (np.ones((4, 3)), 0.0, 0.0),
        (np.array([[1.0], [1.0]]), 1.0, 0.0),
    ],
    ids=["one for one", "dead", "nothing", "twice", "one code for two of ten", "missed", "all for all", "one factor"],
)
def test_exact_values(matrix, disentangled, complete):
    assert disentanglement(matrix) == pytest.approx(disentangled, abs=1e-12)
    assert completeness(matrix) == pytest.approx(complete, abs=1e-12)


def test_equals_loops_over_scipy():
    matrix = np.random.default_rng(0).uniform(size=(4, 3))
    rows = [(1 - scipy.stats.entropy(row, base=3)) * row.sum() / matrix.sum() for row in matrix]
    columns = [(1 - scipy.stats.entropy(row, base=4)) * row.sum() / matrix.sum() for row in matrix.T]
    assert disentanglement(matrix) == pytest.approx(sum(rows), abs=1e-12)
    assert completeness(matrix) == pytest.approx(sum(columns), abs=1e-12)


def measured(made, sizes=(10,) * 10):
    return importances(made(1000, sizes, seed=0), made(1000, sizes, seed=1), trees=10, spare_depth=1, seed=3)


def test_a_perfect_code():
    found = measured(perfect)
    assert found.matrix.sum(0) == pytest.approx(1.0)
    assert 0.9 <= disentanglement(found.matrix) <= 1.0
    assert 0.9 <= completeness(found.matrix) <= 1.0
    assert found.accuracy > 0.95


def test_a_perfect_code_twice_is_disentangled_and_half_complete():
    found = measured(twice)
    assert 0.9 <= disentanglement(found.matrix) <= 1.0
    assert completeness(found.matrix) == pytest.approx(HALF, abs=0.1)


def test_codes_of_all_factors_and_of_none():
    mixed = measured(shuffled)
    assert 0.0 <= disentanglement(mixed.matrix) <= 0.2
    assert 0.0 <= completeness(mixed.matrix) <= 0.2
    nothing = measured(zero, sizes=(2, 3))
    assert not nothing.matrix.any()
    assert nothing.accuracy < 0.55


def test_the_depth_suffices_for_all_values_and_for_noise_no_more():
    """Three values need two levels, the spare one a third: noise of a thousand values cannot be learnt by heart."""
    rng = np.random.default_rng(0)
    factors = rng.integers(3, size=(1000, 1))
    train = encoded(rng.normal(size=(1000, 1)), factors)
    assert importances(train, train, trees=10, spare_depth=1, seed=0).accuracy < 0.5
    told = encoded(factors, factors)
    assert importances(told, told, trees=10, spare_depth=0, seed=0).accuracy == 1.0


def test_the_seed_decides():
    part = shuffled(200, (3, 3, 3))
    first, again, other = (importances(part, part, 3, 1, seed).matrix for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
