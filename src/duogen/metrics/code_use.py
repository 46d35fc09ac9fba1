"""What a model with integer codes makes of held-out examples: which codes it uses, and the bound they give."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.latent import Inference, LatentMeasure, bits_per_dimension
from duogen.records import Examples, Fact

FEW = 0.1
NEAR_ONE = 0.01


@runtime_checkable
class Coding(Protocol):
    """What a model with integer codes can be asked, in evaluation mode and without gradients.

    `sizes`: how many values the codes of a place have, one number for each of its L codes; `level`: the width of a grey
    level where p(x | c) is a density, None where it is a probability.
    """

    sizes: Sequence[int]
    level: float | None

    def codes(self, examples: Examples) -> Tensor:
        """The codes of examples, integers (N, ...), L of them for each of P places."""
        ...

    def distortion(self, codes: Tensor, examples: Examples) -> Tensor:
        """-log p(x | c) in nats, (N,), of codes (N, ...)."""
        ...


class CodeUse(LatentMeasure):
    """How many of its codes a model uses for held-out examples, and the bound on the likelihood through them.

    perplexity = exp(-sum_k p_k ln p_k), in 1..K, p_k the share of code k among those of all examples and places, its
    mean over the L codebooks; codes_used the share of the codes that occur at all. A code c is certain given x, and all
    are as likely before: rate = P sum_l ln K_l for P places, distortion = -log p(x | c), elbo = -(distortion + rate),
    means over the examples in nats; elbo_bits_per_dimension = (-elbo - D ln level) / (D ln 2), level the width of a
    grey level where p is a density, else 1. A prior that is fitted to the codes afterwards lowers the rate.
    Raises `UserError` for a model without integer codes.
    Source: van den Oord et al. 2017, sections 3.1 and 4.1; the perplexity is the authors' code's.
    """

    name: ClassVar[str] = "code_use"
    facts: Mapping[str, Fact] = {
        "perplexity": Fact(unit="codes", higher_is_better=True),
        "codes_used": Fact(unit="share", higher_is_better=True),
        "elbo": Fact(unit="nats", higher_is_better=True),
        "distortion": Fact(unit="nats", higher_is_better=False),
        "rate": Fact(unit="nats", higher_is_better=False),
        "elbo_bits_per_dimension": Fact(unit="bits", higher_is_better=False),
    }

    uses: Tensor
    total: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape)
        self.level, self.sizes = 1.0, ()
        self.said: tuple[str, ...] = ()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def expect(self, sizes: Sequence[int]) -> None:
        """Makes room for codes of these sizes, so that ranks agree of which some see no example."""
        if tuple(sizes) != self.sizes:
            self.sizes = tuple(sizes)
            self.add_state("uses", torch.zeros(len(sizes), max(sizes), dtype=torch.int64), dist_reduce_fx="sum")
            self.to(self.device)

    def infer(self, model: Inference, real: Examples) -> None:
        if not isinstance(model, Coding):
            given = f"metrics=[code_use] with {type(model).__name__}"
            raise UserError(given, "models with integer codes", "take model=vq_vae, or metrics=[evidence_bound]")
        self.expect(model.sizes)
        codes = model.codes(real)
        self.level = model.level or 1.0
        self.total += model.distortion(codes, real).double().sum().to(self.device)
        columns = codes.reshape(-1, len(self.sizes)).T.to(self.device)
        self.uses.scatter_add_(1, columns, torch.ones_like(columns))

    def values(self) -> dict[str, Tensor]:
        self.require(1, "n_real")
        counts = self.uses.double()
        perplexity = torch.special.entr(counts / counts.sum(1, keepdim=True)).sum(1).exp()
        used = (counts > 0).sum(1)
        sizes = torch.tensor(self.sizes, dtype=torch.float64, device=counts.device)
        distortion, rate = self.total / self.n_real, (counts.sum(1) * sizes.log()).sum() / self.n_real
        self.said = tuple(self.sentences(perplexity.tolist(), used.tolist(), int(counts[0].sum())))
        return {
            "perplexity": perplexity.mean(),
            "codes_used": used.sum() / sizes.sum(),
            "elbo": -distortion - rate,
            "distortion": distortion,
            "rate": rate,
            "elbo_bits_per_dimension": bits_per_dimension(distortion + rate, self.shape, self.level),
        }

    def sentences(self, perplexity: Sequence[float], used: Sequence[int], seen: int) -> list[str]:
        """What is to be said of each codebook, `seen` being how many codes each has given."""
        several, found = len(self.sizes) > 1, enumerate(zip(self.sizes, perplexity, used, strict=True), 1)
        return [
            f"{count} of {size} codes{f' of codebook {place}' if several else ''} are used (perplexity {spread:.1f}): "
            "the decoder learns little from a code. Try quantizer=ema, which revives dead codes from "
            "quantizer.revive_from on, quantizer=finite_scalar, more steps, or fewer codes."
            for place, (size, spread, count) in found
            if count <= FEW * (most := min(size, seen)) or spread <= 1 + NEAR_ONE * (most - 1)
        ]

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"sizes": list(self.sizes), "prior": "uniform", "level": self.level}

    def remarks(self) -> Sequence[str]:
        """That few codes are used, where a tenth at most is, or that the perplexity stays near 1."""
        return self.said
