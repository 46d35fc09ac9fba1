"""Codes of known worth: factors that are their own code, codes that know nothing, and codes that stand twice."""

import numpy as np

from duogen.metrics.disentanglement.encoded import Encoded


def drawn(count, sizes, seed=0):
    """Factors (count, K) of the given sizes, each drawn for itself."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(size, size=count) for size in sizes], 1)


def encoded(codes, factors):
    names = [f"factor_{k}" for k in range(factors.shape[1])]
    return Encoded(np.asarray(codes, dtype=np.float64), factors, names)


def perfect(count=3000, sizes=(10,) * 10, seed=0):
    factors = drawn(count, sizes, seed)
    return encoded(factors, factors)


def zero(count=3000, sizes=(10,) * 10, seed=0):
    factors = drawn(count, sizes, seed)
    return encoded(np.zeros(factors.shape), factors)


def twice(count=3000, sizes=(10,) * 10, seed=0):
    factors = drawn(count, sizes, seed)
    return encoded(np.hstack([factors, factors]), factors)


def shuffled(count=3000, sizes=(10,) * 10, seed=0):
    """Each example's factors in an order of its own: every dimension knows a little of every factor."""
    factors = drawn(count, sizes, seed)
    return encoded(np.random.default_rng(seed + 1).permuted(factors, axis=1), factors)


def noisy(count=400, sizes=(2, 3, 5), dimensions=4, seed=0):
    """Mixtures of the factors with noise."""
    rng, factors = np.random.default_rng(seed + 1), drawn(count, sizes, seed)
    mixing = rng.normal(size=(len(sizes), dimensions))
    return encoded(factors @ mixing + rng.normal(size=(count, dimensions)), factors)


def halves(part):
    """The even and the odd rows."""
    return part.rows(np.arange(0, part.count, 2)), part.rows(np.arange(1, part.count, 2))
