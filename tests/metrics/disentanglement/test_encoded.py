import numpy as np
import pytest

from duogen.metrics.disentanglement.encoded import fitting, parts, unravelled
from metrics.disentanglement.truth import encoded, noisy


def test_the_last_factor_runs_fastest():
    sizes = [2, 3, 5]
    expected = [[a, b, c] for a in range(2) for b in range(3) for c in range(5)]
    assert unravelled(np.arange(30), sizes).tolist() == expected


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        ([10], 30, [10]),
        ([10], 7, [7]),
        ([10, 5], 15, [10, 5]),
        ([10, 5], 100, [10, 5]),
        ([10, 5], 6, [4, 2]),
        ([10000, 5], 2, [1, 1]),
        ([10, 5], 0, [0, 0]),
        ([], 9, []),
    ],
)
def test_parts_shrink_alike(asked, available, expected):
    assert fitting(asked, available) == expected


def test_parts_are_disjoint_rows_of_the_whole():
    whole = encoded(np.arange(40)[:, None], np.arange(40)[:, None] % 7)
    train, test = parts(whole, [20, 11], np.random.default_rng(0))
    assert (train.count, test.count) == (20, 11)
    assert len(np.unique(np.concatenate([train.codes, test.codes]))) == 31
    assert all((part.factors == part.codes % 7).all() for part in (train, test))


def test_factors_that_are_constant_in_the_first_part_are_left_out_of_all():
    whole = encoded(np.arange(40)[:, None], np.stack([np.arange(40) % 3, np.full(40, 4), np.arange(40)], 1))
    for part in parts(whole, [30, 10], np.random.default_rng(0)):
        assert part.names == ["factor_0", "factor_2"]
        assert part.factors.shape == (part.count, 2)


def test_the_order_is_that_of_the_content():
    whole = noisy(50)
    mixed = whole.rows(np.random.default_rng(3).permutation(50))
    assert (mixed.codes != whole.codes).any()
    np.testing.assert_array_equal(mixed.ordered().codes, whole.ordered().codes)
    np.testing.assert_array_equal(mixed.ordered().factors, whole.ordered().factors)


def test_dimensions_of_one_value_are_dead():
    codes = np.stack([np.full(5, 0.1), np.array([0, 0, 0, 0, 1e-9])], 1)
    whole = encoded(codes, np.zeros((5, 1), dtype=np.int64))
    assert whole.live.tolist() == [False, True]
    assert whole.varying.tolist() == [False]
