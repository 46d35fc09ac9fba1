"""By how much the best dimension of a code leads the second."""

import numpy as np

from duogen.metrics.disentanglement.encoded import Floats


def gaps(scores: Floats) -> Floats:
    """s_(1)k - s_(2)k, (K,), of scores (Z, K) >= 0 of each dimension for each factor; with Z = 1 the second is 0."""
    padded = np.concatenate([np.zeros_like(scores[:1]), scores])
    second, first = np.sort(padded, axis=0)[-2:]
    return first - second
