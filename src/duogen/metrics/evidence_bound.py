"""What a variational autoencoder says of held-out examples: the bound, its two parts, and which codes it uses."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from duogen.metrics.latent import Inference, LatentMeasure, bits_per_dimension, means
from duogen.records import Examples, Fact

ACTIVE = 0.01
COLLAPSED = 0.1


class EvidenceBound(LatentMeasure):
    """The evidence lower bound of held-out examples, from one code each, and the units that carry it.

    elbo = E_q[log p(x | z)] - KL(q(z | x) || p(z)) = -(distortion + rate), means over the examples, in nats;
    elbo_bits_per_dimension = (-elbo - D log level) / (D ln 2), level the width of a grey level where p(x | z) is a
    density, else 1;
    active_units = |{d: Var_x E_q[z_d] > 0.01}|, in 0..Z (Burda et al. 2016, section 5.2), the variance with 1/N.
    The bound is that of the likelihood's own support: densities and probabilities do not compare.
    """

    name: ClassVar[str] = "evidence_bound"
    facts: Mapping[str, Fact] = {
        "elbo": Fact(unit="nats", higher_is_better=True),
        "distortion": Fact(unit="nats", higher_is_better=False),
        "rate": Fact(unit="nats", higher_is_better=False),
        "elbo_bits_per_dimension": Fact(unit="bits", higher_is_better=False),
        "active_units": Fact(unit="units", higher_is_better=True),
    }

    sums: Tensor
    firsts: Tensor
    seconds: Tensor

    def __init__(self, shape: Sequence[int], latent_dim: int) -> None:
        super().__init__(shape)
        self.latent_dim, self.active, self.level = latent_dim, latent_dim, 1.0
        for name, size in (("sums", 2), ("firsts", latent_dim), ("seconds", latent_dim)):
            self.add_state(name, torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")

    def infer(self, model: Inference, real: Examples) -> None:
        self.level, said = model.level or 1.0, model.evidence(real, 1)
        codes = self.held(means(model.recognised(real)))
        self.sums += torch.stack([self.held(said.distortion).sum(), self.held(said.rate).sum()])
        self.firsts += codes.sum(0)
        self.seconds += codes.square().sum(0)

    def held(self, values: Tensor) -> Tensor:
        """Values in float64, beside the states."""
        return values.to(self.device).double()

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_real")
        distortion, rate = self.sums / self.n_real
        spread = self.seconds / self.n_real - (self.firsts / self.n_real).square()
        self.active = int((spread > ACTIVE).sum())
        return {
            "elbo": -distortion - rate,
            "distortion": distortion,
            "rate": rate,
            "elbo_bits_per_dimension": bits_per_dimension(distortion + rate, self.shape, self.level),
            "active_units": torch.tensor(float(self.active), dtype=torch.float64),
        }

    def protocol(self) -> dict[str, Any]:
        active = f"variance of posterior means > {ACTIVE}"
        return super().protocol() | {"draws": 1, "active": active, "level": self.level}

    def remarks(self) -> Sequence[str]:
        """That the posterior has collapsed, where at most a tenth of the units is active."""
        if self.active > COLLAPSED * self.latent_dim:
            return ()
        units = "unit is" if self.active == 1 else "units are"
        return (
            f"{self.active} of {self.latent_dim} latent {units} active (variance of posterior means > {ACTIVE}): the "
            "decoder hardly reads the code. Try variational=warmup, variational=free_bits, a smaller beta, or a weaker "
            "decoder.",
        )
