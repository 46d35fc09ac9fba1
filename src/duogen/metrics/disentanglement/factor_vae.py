"""The score of the FactorVAE paper."""

import numpy as np

from duogen.metrics.disentanglement.encoded import Encoded, Floats, Integers
from duogen.metrics.disentanglement.groups import companions, in_blocks

BLOCK = 256


def factor_vae_score(
    encoded: Encoded, train: int, test: int, size: int, least_spread: float, rng: np.random.Generator
) -> float:
    """The accuracy of a majority vote that names the factor which a group shares; in [0, 1].

    A group is `size` examples, drawn with replacement, that share the value of one random factor, the value that of a
    random example. Its vote is argmin_j var_group(z_j) / var(z_j) over the dimensions with a standard deviation of at
    least `least_spread` and more than 0. Each dimension stands for the factor that most of its votes in `train` groups
    came from; the score is read on `test` further groups. 0 where no dimension is left. Kim and Mnih 2018, section 4.
    """
    variances = encoded.codes.var(0, ddof=1)
    active = encoded.live & (variances > 0) & (np.sqrt(variances) >= least_spread)
    if not active.any():
        return 0.0
    left = encoded.of_dimensions(active)
    taught, asked = (votes(left, variances[active], groups, size, rng) for groups in (train, test))
    return float(asked[np.arange(len(asked)), taught.argmax(1)].sum() / test)


def votes(encoded: Encoded, variances: Floats, groups: int, size: int, rng: np.random.Generator) -> Integers:
    """How many groups of each factor voted for each dimension, (Z, K)."""
    dimensions, factors = encoded.codes.shape[1], encoded.factors.shape[1]
    counts = rng.multinomial(groups, np.full(factors, 1 / factors))
    found = np.zeros((dimensions, factors), dtype=np.int64)
    for factor, count in enumerate(counts):
        leaders = rng.integers(encoded.count, size=(count, 1)).repeat(size, 1)
        members = companions(encoded.factors[:, factor], leaders, rng)
        for block in in_blocks(members, BLOCK):
            least = (encoded.codes[block].var(1, ddof=1) / variances).argmin(1)
            found[:, factor] += np.bincount(least, minlength=dimensions)
    return found
