import numpy as np
import pytest

from duogen.metrics.disentanglement.beta_vae import beta_vae_score, differences
from metrics.disentanglement.truth import encoded, perfect, shuffled, zero


def scored(part, train=1000, test=800, size=5, seed=0):
    return beta_vae_score(part, train, test, size, np.random.default_rng(seed))


def test_points_are_mean_distances_of_pairs():
    """Of two independent uniform numbers below V the mean distance is (V^2 - 1) / 3V; of the shared factor it is 0."""
    sizes = np.array([2, 3, 5])
    points, factors = differences(perfect(3000, sizes), 900, 4, np.random.default_rng(0))
    assert points.shape == (900, 3)
    for factor in range(3):
        assert (factors == factor).sum() == pytest.approx(300, abs=50)
        expected = np.where(np.arange(3) == factor, 0, (sizes**2 - 1) / (3 * sizes))
        assert points[factors == factor].mean(0) == pytest.approx(expected, abs=0.12)


def test_anchors():
    assert 0.9 <= scored(perfect()) <= 1.0
    assert 0.0 <= scored(zero()) <= 0.2
    assert 0.0 <= scored(shuffled()) <= 0.2


def test_a_rotation_is_not_seen_in_distances_alone():
    """Both dimensions depend on both factors, but not alike: the score forgives it, as its critics say."""
    part = perfect(2000, (8, 8))
    mixed = part.codes @ np.array([[1.0, 0.6], [-0.2, 1.0]])
    assert scored(encoded(mixed, part.factors), size=32) > 0.9


def test_one_factor_is_always_named():
    assert scored(perfect(100, (4,))) == 1.0


def test_dead_dimensions_do_no_harm():
    part = perfect(1000, (4, 4))
    assert scored(encoded(np.hstack([part.codes, np.zeros((1000, 3))]), part.factors), size=32) > 0.9


def test_the_generator_decides():
    part = shuffled(500, (3, 3, 3))
    first, _ = differences(part, 20, 3, np.random.default_rng(1))
    again, _ = differences(part, 20, 3, np.random.default_rng(1))
    other, _ = differences(part, 20, 3, np.random.default_rng(2))
    assert (first == again).all()
    assert (first != other).any()
