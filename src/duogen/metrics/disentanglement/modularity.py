"""Modularity and explicitness of Ridgeway and Mozer."""

import warnings

import numpy as np
from scipy.stats import rankdata

from duogen.metrics.disentanglement.encoded import Encoded, Flags, Floats, Integers


def modularity(information: Floats) -> float:
    """1/Z sum_j (1 - sum_{k != k*} I_jk^2 / (I_jk*^2 (K - 1))), k* the best k for j; in [0, 1].

    `information`: I(z_j; v_k), (Z, K), >= 0. A dimension that knows nothing counts as 0; with K = 1 one that knows
    something counts as 1. Ridgeway and Mozer 2018, section 3.
    """
    squared = np.square(information)
    best = squared.max(1)
    others = squared.sum(1) - best
    worst = best * max(information.shape[1] - 1, 1)
    return float(np.where(best > 0, 1 - others / np.where(best > 0, worst, 1), 0).mean())


def explicitness(train: Encoded, test: Encoded) -> float:
    """The mean over factors of the mean over a factor's values of one-against-rest areas under the ROC curve.

    A logistic regression on standardised codes (N, Z) tells the values of each factor apart, fitted to `train` and
    read on `test`; 0.5 is chance, 1 is best. Values that `train` or all of `test` has not are left out. Ridgeway and
    Mozer 2018, section 3.
    """
    mean, spread = train.codes.mean(0), train.codes.std(0)
    scale = np.where(train.live & (spread > 0), spread, 1)
    known, asked = ((part.codes - mean) / scale for part in (train, test))
    found = [told_apart(known, y, asked, t) for y, t in zip(train.factors.T, test.factors.T, strict=True)]
    return float(np.mean([areas.mean() if len(areas) else 0.5 for areas in found]))


def told_apart(known: Floats, values: Integers, asked: Floats, expected: Integers) -> Floats:
    """The areas of one factor's values, of those that can be asked for."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # The number of iterations is part of the protocol.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression().fit(known, values)
    scores = classifier.predict_proba(asked)
    classes = classifier.classes_
    if len(classes) == 2:
        scores, classes = scores[:, 1:], classes[1:]
    hits = expected[:, None] == classes
    askable = hits.any(0) & ~hits.all(0)
    return areas_under_roc(scores[:, askable], hits[:, askable])


def areas_under_roc(scores: Floats, hits: Flags) -> Floats:
    """P(s+ > s-) + P(s+ = s-) / 2, (C,), of scores (N, C) where `hits` (N, C) are the positives; some of each."""
    positive = hits.sum(0)
    ranks = np.where(hits, rankdata(scores, axis=0), 0).sum(0)
    return (ranks - positive * (positive + 1) / 2) / (positive * (len(hits) - positive))
