"""How many nats each dimension of the code carries."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.latent import Inference, LatentMeasure
from duogen.records import Examples, Fact


class Rates(LatentMeasure):
    """The divergence of each dimension from its prior on the test split.

    kl_d = E_x KL(q(z_d | x) || p(z_d)), d = 0 to Z - 1 with leading zeros, >= 0, in nats; their sum is the rate.

    Args:
        shape: of one example.
        latent_dim: Z.
    Raises `UserError` where q(z | x) or p(z) does not factorise, or has no closed form.
    Source: Kingma and Welling 2014, appendix B.
    """

    name: ClassVar[str] = "rates"
    validates: ClassVar[bool] = False

    sums: Tensor

    def __init__(self, shape: Sequence[int], latent_dim: int) -> None:
        super().__init__(shape)
        self.facts: Mapping[str, Fact] = {
            f"kl_{dimension:0{len(str(latent_dim - 1))}}": Fact(unit="nats", higher_is_better=False)
            for dimension in range(latent_dim)
        }
        self.add_state("sums", torch.zeros(latent_dim, dtype=torch.float64), dist_reduce_fx="sum")

    def infer(self, model: Inference, real: Examples) -> None:
        self.sums += rates(model, real).to(self.sums).sum(0)

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_real")
        return dict(zip(self.facts, self.sums / self.n_real, strict=True))

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"estimator": "closed form"}


def rates(model: Inference, examples: Examples) -> Tensor:
    """KL(q(z_d | x) || p(z_d)) of examples, (N, Z), in nats.

    Raises `UserError` where there is no closed form of it.
    """
    found = model.evidence(examples, 1).rates
    if found is None:
        given = "the KL of each dimension, where dimensions depend on one another or have no closed form"
        allowed = "posterior=gaussian with prior=standard"
        raise UserError(given, allowed, "leave rates out, or use metrics=[evidence_bound], which has their sum")
    return found
