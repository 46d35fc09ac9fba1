"""The separated attribute predictability of Kumar et al."""

from collections.abc import Sequence

import numpy as np

from duogen.metrics.disentanglement.encoded import Encoded, Floats, Integers
from duogen.metrics.disentanglement.gap import gaps

PENALTY = 0.01


def attribute_predictability(train: Encoded, test: Encoded, continuous: Sequence[str]) -> float:
    """SAP = 1/K sum_k (s_(1)k - s_(2)k), s_jk how well dimension j alone predicts factor k; in [0, 1].

    For the factors named in `continuous`, s_jk is R^2 of linear regression on `train`; for the others it is the
    accuracy on `test` of a linear SVM (C = 0.01, classes balanced) fitted to `train`. A dimension of one value has
    R^2 = 0. Kumar et al. 2018, section 3.
    """
    numbers = np.array([name in continuous for name in train.names])
    scores = np.zeros((train.codes.shape[1], len(numbers)))
    scores[:, numbers] = determination(train.of_factors(numbers))
    scores[:, ~numbers] = accuracies(train.of_factors(~numbers), test.of_factors(~numbers))
    return float(gaps(scores).mean())


def determination(encoded: Encoded) -> Floats:
    """R^2 = cov(z_j, v_k)^2 / (var z_j var v_k), (Z, K)."""
    codes, factors = (values - values.mean(0) for values in (encoded.codes, encoded.factors))
    scale = np.outer(np.square(codes).sum(0), np.square(factors).sum(0))
    useful = encoded.live[:, None] & (scale > 0)
    return np.where(useful, np.square(codes.T @ factors) / np.where(useful, scale, 1), 0)


def accuracies(train: Encoded, test: Encoded) -> Floats:
    """The accuracy of each single dimension for each factor, (Z, K)."""
    dimensions = list(zip(train.codes.T, test.codes.T, strict=True))
    factors = list(zip(train.factors.T, test.factors.T, strict=True))
    found = [accuracy(code, values, asked, expected) for code, asked in dimensions for values, expected in factors]
    return np.reshape(found, (len(dimensions), len(factors)))


def accuracy(code: Floats, values: Integers, asked: Floats, expected: Integers) -> float:
    """The share of `expected` (M,) that a linear SVM finds from `asked` (M,), taught by `code` and `values` (N,)."""
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=PENALTY, class_weight="balanced").fit(code[:, None], values)
    return float(np.mean(machine.predict(asked[:, None]) == expected))
