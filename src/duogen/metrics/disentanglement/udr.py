"""The unsupervised disentanglement ranking: how alike the codes of models that differ in their seed alone are."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import rankdata

from duogen.metrics.disentanglement.encoded import Flags, Floats

Similarity = Callable[[Floats, Floats], Floats]
PENALTY = 0.1


def unsupervised_ranking(codes: Sequence[Floats], informative: Sequence[Flags], similarity: Similarity) -> Floats:
    """UDR_i = median_{j != i} UDR_ji, (M,), of M >= 2 models' `codes` (N, Z) of the same N examples; in [0, 1].

    UDR_ji = (sum_a r_a^2 / sum_b R_ab + sum_b r_b^2 / sum_a R_ab) / (d_j + d_i) over the d_j and d_i informative
    dimensions a of model j and b of model i, r_a = max_b R_ab, r_b = max_a R_ab; a dimension without any resemblance
    counts as 0. `informative` (Z,): those whose KL(q(z_b | x) || p(z_b)) is more than 0.01 nats on average;
    `similarity`: of two sets of codes, `lasso` or `spearman`. Duan et al. 2020, section 4.
    """
    kept = [standardised(values[:, chosen]) for values, chosen in zip(codes, informative, strict=True)]
    return np.array(
        [
            np.median([resemblance(similarity(other, own)) for j, other in enumerate(kept) if j != i])
            for i, own in enumerate(kept)
        ]
    )


def resemblance(matrix: Floats) -> float:
    """UDR_ji of similarities R (d_j, d_i) >= 0."""
    if not matrix.size:
        return 0.0
    scores = [peaks(matrix), peaks(matrix.T)]
    return float(np.concatenate(scores).mean())


def peaks(matrix: Floats) -> Floats:
    """max_b R_ab^2 / sum_b R_ab for each row a."""
    total = matrix.sum(1)
    return np.square(matrix.max(1)) / np.where(total > 0, total, 1)


def lasso(first: Floats, second: Floats) -> Floats:
    """|weights| (d_j, d_i) of linear regressions with an L1 penalty of 0.1 from `first` to each column of `second`."""
    from sklearn.linear_model import Lasso

    if not first.size or not second.size:
        return np.zeros((first.shape[1], second.shape[1]))
    return np.abs(np.atleast_2d(Lasso(alpha=PENALTY).fit(first, second).coef_)).T


def spearman(first: Floats, second: Floats) -> Floats:
    """|rank correlations| (d_j, d_i) of the columns of `first` with those of `second`."""
    ranks = [standardised(rankdata(values, axis=0)) for values in (first, second)]
    return np.abs(ranks[0].T @ ranks[1]) / len(first)


def standardised(values: Floats) -> Floats:
    """Columns (N, d) of mean 0 and standard deviation 1; of 0 where they are constant."""
    centred, spread = values - values.mean(0), values.std(0)
    return np.where(spread > 0, centred / np.where(spread > 0, spread, 1), 0)
