import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import mutual_info_score

from duogen.metrics.disentanglement.information import binned, entropies, mutual_information, shared
from metrics.disentanglement.truth import drawn, noisy


@pytest.mark.parametrize("bins", [1, 3, 20])
def test_bins_are_those_of_a_histogram(bins):
    codes = noisy(300).codes
    found = binned(codes, bins)
    for column, numbers in zip(codes.T, found.T, strict=True):
        assert np.bincount(numbers, minlength=bins).tolist() == np.histogram(column, bins)[0].tolist()
        assert (np.diff(numbers[np.argsort(column)]) >= 0).all()


def test_a_column_of_one_value_lies_in_one_bin():
    assert len(np.unique(binned(np.full((6, 1), 0.3), 20))) == 1


@pytest.mark.parametrize("sizes", [(2, 3), (7, 4), (5, 1), (1, 1)])
def test_equals_scikit_learn(sizes):
    first, second = drawn(200, sizes, seed=2).T
    mixed = np.where(np.arange(200) % 2, first % 3, second)
    assert shared(mixed, first) == pytest.approx(mutual_info_score(mixed, first), abs=1e-12)
    assert shared(first, mixed) == pytest.approx(shared(mixed, first), abs=1e-12)


def test_a_factor_knows_all_of_itself():
    factors = drawn(500, (4, 9, 1), seed=1)
    expected = [scipy.stats.entropy(np.bincount(factor)) for factor in factors.T]
    assert entropies(factors) == pytest.approx(expected, abs=1e-12)


def test_every_dimension_meets_every_factor():
    part = noisy(300)
    found = mutual_information(part.codes, part.factors, 5)
    assert found.shape == (4, 3)
    cuts = np.histogram(part.codes[:, 2], 5)[1][:-1]
    expected = mutual_info_score(part.factors[:, 1], np.digitize(part.codes[:, 2], cuts))
    assert found[2, 1] == pytest.approx(expected, abs=1e-12)
