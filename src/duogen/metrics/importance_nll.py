"""The likelihood of held-out examples, estimated by importance sampling."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.latent import Inference, LatentMeasure, bits_per_dimension
from duogen.records import Examples, Fact

AT_ONCE = 2_000


class ImportanceNll(LatentMeasure):
    """The negative log-likelihood of the test split from K codes of each example: an upper bound in expectation.

    nll = -mean_n [logsumexp_k log w_nk - log K],  w = p(x | z) p(z) / q(z | x),  z_k ~ q(z | x), in nats;
    bits_per_dimension = (nll - D log level) / (D ln 2), level the width of a grey level where p is a density, else 1.
    It falls with K and meets -log p(x) for any K where q is the exact posterior: values of two K are two metrics.
    At most 2,000 codes at a time, which a cache holds; the sum is kept in log space, so memory does not grow with K.

    Args:
        shape: of one example.
        draws: K, >= 1: 200 in a row of pythae's table (Chadebec et al. 2022), 5,000 in Burda et al. 2016.
    Source: Burda et al. 2016, eq. 8 and section 5.
    """

    name: ClassVar[str] = "importance_nll"
    validates: ClassVar[bool] = False
    facts: Mapping[str, Fact] = {
        "nll": Fact(unit="nats", higher_is_better=False),
        "bits_per_dimension": Fact(unit="bits", higher_is_better=False),
    }

    total: Tensor

    def __init__(self, shape: Sequence[int], draws: int) -> None:
        super().__init__(shape)
        if draws < 1:
            raise UserError(f"importance_nll: draws={draws}", "1 or more", "e.g. metrics.importance_nll.draws=200")
        self.draws, self.level = draws, 1.0
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def infer(self, model: Inference, real: Examples) -> None:
        self.level = model.level or 1.0
        self.total -= log_likelihood(model, real, self.draws).sum().to(self.total.device)

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_real")
        nll = self.total / self.n_real
        return {"nll": nll, "bits_per_dimension": bits_per_dimension(nll, self.shape, self.level)}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"draws": self.draws, "estimator": "importance sampling", "level": self.level}


def log_likelihood(model: Inference, examples: Examples, draws: int) -> Tensor:
    """log-mean-exp of `draws` weights of each example, (N,), in nats, float64 on the CPU."""
    known = torch.full((examples.count,), -math.inf, dtype=torch.float64)
    for count in parts(draws, max(1, AT_ONCE // examples.count)):
        weights = model.evidence(examples, count).log_weights.cpu().double()
        known = torch.logaddexp(known, weights.logsumexp(0))
    return known - math.log(draws)


def parts(whole: int, most: int) -> list[int]:
    """`whole` cut into numbers of at most `most`."""
    return [most] * (whole // most) + ([whole % most] if whole % most else [])
