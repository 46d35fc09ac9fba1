"""Categories that are drawn softly, so that a gradient passes."""

import math

import torch
from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.quantizers.quantizer import Quantized, Quantizer, one_hot, passed_through, perplexity
from duogen.ramp import Ramp, at


class GumbelQuantizer(Quantizer):
    """One of K = `size` categories for each place, q(k | z) = softmax(l)_k, l affine in z, drawn by a relaxation.

    In training y = softmax((l + g) / tau), g_k ~ Gumbel(0, 1), and the features are sum_k y_k e_k; where it is
    `straight_through`, those of argmax_k (l_k + g_k), with the gradient of the soft ones. In evaluation they are those
    of argmax_k l_k. The term `rate` is KL(q || uniform) = ln K - H(q) in nats, summed over the places, of weight
    `beta`; it is that of the categories, not of the relaxed variable.

    Args:
        dim: D of the features, and of the vectors e_k, which learn by gradients.
        size: K, >= 2.
        temperature: tau > 0, a number or a function of the step.
        straight_through: whether the decoder sees one category in training, too.
        beta: >= 0, a number or a function of the step; 1 for the evidence bound.

    Raises `UserError` for numbers out of range.
    Source: Jang et al. 2017, eq. 2 and sections 2.1 and 2.2; Ramesh et al. 2021, section 2.1 and appendix A.
    """

    def __init__(
        self, dim: int, size: int, temperature: float | Ramp, straight_through: bool, beta: float | Ramp
    ) -> None:
        super().__init__()
        require_at_least(1, "GumbelQuantizer", dim=dim)
        require_at_least(2, "GumbelQuantizer", size=size)
        if not isinstance(temperature, Ramp) and temperature <= 0:
            given = f"GumbelQuantizer: temperature={temperature}"
            raise UserError(given, "more than 0, or a ramp", "e.g. quantizer.temperature=1.0")
        if not isinstance(beta, Ramp) and beta < 0:
            raise UserError(f"GumbelQuantizer: beta={beta}", "0 or more, or a ramp", "e.g. quantizer.beta=1.0")
        self.dim, self.size, self.sizes = dim, size, (size,)
        self.temperature, self.straight_through, self.beta = temperature, straight_through, beta
        self.logits, self.vectors = nn.Linear(dim, size), nn.Embedding(size, dim)

    def quantize(self, values: Tensor, step: int) -> Quantized:
        logits = self.logits(values)
        scores = logits + gumbel(logits) if self.training else logits
        codes = scores.argmax(-1)
        features = self.relaxed(scores, codes, step) if self.training else self.looked_up(codes)
        rate = (math.log(self.size) - entropy(logits)).reshape(len(values), -1).sum(1)
        observed = {"perplexity": perplexity(codes, self.size)}
        return Quantized(features, codes, {"rate": rate}, {"rate": at(step, self.beta)}, observed)

    def relaxed(self, scores: Tensor, codes: Tensor, step: int) -> Tensor:
        """The features (N, ..., D) of the categories that scores (N, ..., K) choose more or less."""
        shares = (scores / at(step, self.temperature)).softmax(-1)
        if self.straight_through:
            shares = passed_through(shares, one_hot(codes, self.size))
        return shares @ self.vectors.weight

    def looked_up(self, codes: Tensor) -> Tensor:
        return self.vectors(codes)


def gumbel(like: Tensor) -> Tensor:
    """Draws -ln(E), E ~ Exp(1), of the shape of `like`, from the device's default generator."""
    return -torch.empty_like(like).exponential_().log()


def entropy(logits: Tensor) -> Tensor:
    """-sum_k p_k ln p_k, p = softmax(logits): (..., K) to (...)."""
    logs = logits.log_softmax(-1)
    return -(logs.exp() * logs).sum(-1)
