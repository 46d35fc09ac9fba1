"""The score of the beta-VAE paper."""

import warnings

import numpy as np

from duogen.metrics.disentanglement.encoded import Encoded, Floats, Integers
from duogen.metrics.disentanglement.groups import companions, in_blocks

BLOCK = 256


def beta_vae_score(encoded: Encoded, train: int, test: int, size: int, rng: np.random.Generator) -> float:
    """The accuracy of a linear classifier that names the factor which the pairs of a group share; in [0, 1].

    A point is the mean of |z_1 - z_2| (Z,) over `size` pairs of examples, drawn with replacement, each pair of which
    shares the value of one and the same random factor. Logistic regression (C = 1) is fitted to `train` points and
    read on `test` further ones; 1 / K is chance. Higgins et al. 2017, section 3.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    (taught, named), (asked, expected) = (differences(encoded, groups, size, rng) for groups in (train, test))
    if len(np.unique(named)) == 1:
        return float((expected == named[0]).mean())
    with warnings.catch_warnings():
        # The number of iterations is part of the protocol.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression().fit(taught, named)
    return float((classifier.predict(asked) == expected).mean())


def differences(encoded: Encoded, groups: int, size: int, rng: np.random.Generator) -> tuple[Floats, Integers]:
    """The points (G, Z) of G groups and the factor (G,) that the pairs of each share."""
    factors = encoded.factors.shape[1]
    counts = rng.multinomial(groups, np.full(factors, 1 / factors))
    points = [np.zeros((0, encoded.codes.shape[1]))]
    for factor, count in enumerate(counts):
        for block in in_blocks(rng.integers(encoded.count, size=(count, size)), BLOCK):
            others = companions(encoded.factors[:, factor], block, rng)
            points.append(np.abs(encoded.codes[block] - encoded.codes[others]).mean(1))
    return np.concatenate(points), np.arange(factors).repeat(counts)
