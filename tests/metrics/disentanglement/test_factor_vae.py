import numpy as np
import pytest

from duogen.metrics.disentanglement.factor_vae import factor_vae_score
from metrics.disentanglement.truth import drawn, encoded, noisy, perfect, shuffled, zero


def scored(part, train=800, test=1000, size=5, least_spread=0.0, seed=0):
    return factor_vae_score(part, train, test, size, least_spread, np.random.default_rng(seed))


def reference(part, train, test, size, seed):
    """One group after the other."""
    rng, (count, factors) = np.random.default_rng(seed), part.factors.shape
    whole = np.var(part.codes, axis=0, ddof=1)

    def table(groups):
        votes = np.zeros((part.codes.shape[1], factors))
        for _ in range(groups):
            factor = rng.integers(factors)
            value = part.factors[rng.integers(count), factor]
            members = rng.choice(np.flatnonzero(part.factors[:, factor] == value), size)
            votes[np.argmin(np.var(part.codes[members], axis=0, ddof=1) / whole), factor] += 1
        return votes

    taught, asked = table(train), table(test)
    return sum(asked[j, taught[j].argmax()] for j in range(len(taught))) / test


def test_equals_a_loop_but_for_the_draws():
    """Standard error of each of the two shares is below 0.016."""
    factors = drawn(400, (2, 3, 5))
    part = encoded(factors + np.random.default_rng(1).normal(size=(400, 3)), factors)
    expected = reference(part, 1000, 1000, 6, seed=1)
    assert 0.4 < expected < 0.95
    assert scored(part, 1000, 1000, 6) == pytest.approx(expected, abs=0.06)


def test_anchors():
    assert 0.9 <= scored(perfect()) <= 1.0
    assert scored(zero()) == 0.0
    assert 0.0 <= scored(shuffled()) <= 0.2


def test_dimensions_are_compared_by_their_own_spread():
    part = perfect(1000, (4, 4, 4))
    assert scored(encoded(part.codes * [1e-3, 1.0, 1e3], part.factors)) > 0.9


def test_dead_and_quiet_dimensions_have_no_vote():
    part = perfect(1000, (4, 4))
    wide = encoded(np.hstack([np.full((1000, 1), 0.1), part.codes, 0.01 * part.codes[:, :1]]), part.factors)
    assert scored(wide, least_spread=0.05) > 0.9
    assert scored(encoded(0.01 * part.codes, part.factors), least_spread=0.05) == 0.0


def test_one_factor_is_always_named():
    assert scored(perfect(100, (4,))) == 1.0


def test_the_generator_decides():
    part = noisy()
    assert scored(part, seed=1) == scored(part, seed=1) != scored(part, seed=2)
