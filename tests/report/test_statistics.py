from math import inf, isnan, nan

import numpy as np
import pytest
from scipy import stats

from duogen.report.statistics import Estimate, Improvement, difference, estimate, improvement

A, B = [3.0, 5.0, 4.0, 8.0], [1.0, 2.5, 2.0]


@pytest.mark.parametrize("values", [A, B, [-1e-3, 2e-3], [7.5] * 4 + [7.0]])
def test_an_interval_is_students(values):
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    found = estimate(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-14)
    assert found.half == pytest.approx((high - low) / 2, rel=1e-12)


def test_an_interval_does_not_depend_on_the_order():
    values = [0.1, 1e8, -0.3, 7e-5, 2.2]
    assert estimate(values) == estimate(values[::-1]) == estimate(sorted(values))


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert estimate([3.0]) == Estimate(1, 3.0, None)
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_what_is_not_finite_is_not_left_out():
    assert estimate([1.0, inf]) == Estimate(2, inf, None)
    assert isnan(estimate([1.0, nan]).mean)


def test_a_difference_has_welchs_interval():
    expected = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.95)
    found = difference(A, B)
    assert found is not None
    assert found.n == 3
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_a_difference_needs_two_values_and_some_spread():
    assert difference(A, [1.0]) is None
    assert difference([], B) is None
    assert difference([2.0, 2.0], [1.0, 1.0]) == Estimate(2, 1.0, None)
    assert difference([2.0, 2.0], [1.0, 3.0]).half > 0


@pytest.mark.parametrize(
    ("mean", "half", "shown"),
    [
        (12.3456, 0.4242, "12.35 ± 0.42"),
        (12.3456, 1.26, "12.3 ± 1.3"),
        (1234.56, 26.4, "1235 ± 26"),
        (1234.56, 264.2, "1235 ± 264"),
        (-0.00012, 0.000034, "-0.000120 ± 0.000034"),
        (0.5, 3.4e-9, "0.5 ± 3.4e-09"),
        (3.2e9, 1.1e8, "3.2e+09 ± 1.1e+08"),
        (0.98765, None, "0.9877"),
        (8.0, 0.0, "8 ± 0"),
        (nan, None, "nan"),
    ],
)
def test_a_mean_is_told_to_the_place_of_its_interval(mean, half, shown):
    assert str(Estimate(3, mean, half)) == shown


X, Y = [[3.0, 5.0, 4.0], [8.0, 1.0]], [[1.0, 4.0, 2.0], [6.0, 5.0]]


def brute(x, y):
    x, y = np.concatenate(x), np.concatenate(y)
    return sum((a > b) + 0.5 * (a == b) for a in x for b in y) / (len(x) * len(y))


def test_an_improvement_counts_the_pairs_that_are_won():
    found = improvement(X, Y)
    assert found.probability == brute(X, Y) == 13.5 / 25
    u = stats.mannwhitneyu(np.concatenate(X), np.concatenate(Y)).statistic
    assert found.probability == pytest.approx(u / 25, rel=1e-14)
    assert improvement(Y, X).probability == pytest.approx(1 - found.probability, rel=1e-14)


def test_an_improvements_interval_draws_seeds_within_each_setting():
    rng = np.random.default_rng(1)
    drawn = [brute(*([list(rng.choice(s, len(s))) for s in side] for side in (X, Y))) for _ in range(4000)]
    found = improvement(X, Y)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.03)
    assert found == improvement(X, Y)
    constant = improvement([[1.0, 1.0], [9.0, 9.0]], [[5.0, 5.0]])
    assert constant == Improvement(0.5, 0.5, 0.5), "settings are not drawn"


def test_an_improvement_needs_two_seeds_of_every_setting():
    assert improvement([], Y) is None
    assert improvement([[1.0]], Y) is None
    assert improvement(X, [[1.0, 2.0], [3.0]]) is None
    assert str(improvement([[2.0, 2.0]], [[1.0, 1.0]])) == "1.00 [1.00, 1.00]"
