import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from duogen.metrics.disentanglement.udr import lasso, resemblance, spearman, standardised, unsupervised_ranking

ALL = np.ones(4, dtype=bool)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def copies(codes, count=3):
    """The same codes with dimensions permuted, signs flipped and scales changed."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        order, signs = rng.permutation(codes.shape[1]), rng.choice([-1, 1], codes.shape[1])
        found.append((codes * signs * rng.uniform(0.5, 3, codes.shape[1]))[:, order] + rng.normal())
    return found


both = pytest.mark.parametrize("similarity", [lasso, spearman])


@both
def test_copies_of_one_representation_are_alike_and_independent_ones_are_not(similarity):
    alike = unsupervised_ranking(copies(normal(2000, 4)), [ALL] * 3, similarity)
    assert alike.shape == (3,)
    assert (alike >= 0.85).all()
    strangers = [normal(2000, 4, seed=seed) for seed in range(3)]
    assert (unsupervised_ranking(strangers, [ALL] * 3, similarity) <= 0.1).all()


@both
def test_rotations_of_one_representation_lie_between(similarity):
    codes = normal(2000, 4)
    turned = [codes @ np.linalg.qr(normal(4, 4, seed=seed))[0] for seed in range(3)]
    found = unsupervised_ranking(turned, [ALL] * 3, similarity)
    assert (found > 0.1).all()
    assert (found < 0.7).all()


@both
def test_dimensions_that_say_nothing_are_left_out(similarity):
    models = copies(normal(1000, 4))
    wide = [np.hstack([codes, normal(1000, 2, seed=seed)]) for seed, codes in enumerate(models)]
    kept = [np.array([True] * 4 + [False] * 2)] * 3
    expected = unsupervised_ranking(models, [ALL] * 3, similarity)
    assert unsupervised_ranking(wide, kept, similarity) == pytest.approx(expected, abs=1e-12)


@both
def test_collapsed_and_dead_codes_resemble_nothing(similarity):
    models = [normal(100, 4), normal(100, 4, seed=1), np.zeros((100, 4))]
    none = np.zeros(4, dtype=bool)
    assert unsupervised_ranking(models, [ALL, ALL, ALL], similarity)[2] == 0
    assert unsupervised_ranking(models, [none, ALL, none], similarity).tolist() == [0, 0, 0]


def test_a_hand_made_resemblance():
    """Rows 4/3 and 9/4, columns 4/2, 9/4 and 1/1, over five dimensions together."""
    matrix = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    expected = (4 / 3 + 9 / 4 + 4 / 2 + 9 / 4 + 1 / 1) / 5
    assert resemblance(matrix) == pytest.approx(expected)


def test_a_model_is_the_median_of_what_the_others_make_of_it():
    models = [np.array([[0.0], [1.0]])] * 4
    asked = []

    def similarity(first, second):
        asked.append((first.shape, second.shape))
        return np.array([[0.1], [0.6], [0.2]])[[(len(asked) - 1) % 3]]

    one = np.ones(1, dtype=bool)
    found = unsupervised_ranking(models, [one] * 4, similarity)
    assert len(asked) == 12
    assert found == pytest.approx([0.2] * 4)


def test_ranks_correlate_as_scipy_says():
    first, second = normal(60, 3), np.round(normal(60, 2, seed=1) + normal(60, 3)[:, :2])
    expected = np.abs(scipy.stats.spearmanr(first, second).statistic[:3, 3:])
    assert spearman(first, second) == pytest.approx(expected, abs=1e-12)


def test_the_lasso_thresholds_the_correlations_of_orthogonal_codes():
    codes = scipy.linalg.hadamard(16)[:, 1:5].astype(float)
    target = standardised(codes @ np.array([[2.0, 0.0], [1.0, 0.1], [0.0, -3.0], [0.1, 1.0]]))
    correlations = np.abs(codes.T @ target) / 16
    assert lasso(codes, target) == pytest.approx(np.maximum(correlations - 0.1, 0), abs=1e-6)
