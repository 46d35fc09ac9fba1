"""Few values for each of few numbers, instead of a codebook."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.quantizers.quantizer import Quantized, Quantizer, passed_through, perplexity


class FiniteScalarQuantizer(Quantizer):
    """Rounds each of d numbers, bounded by tanh, to one of L_i values: prod L_i codes without a codebook.

    y = A z + a, d numbers;  q_i = round((L_i - 1) / 2 (tanh y_i + 1)) in {0, ..., L_i - 1}, with a gradient as if it
    were not rounded;  code = sum_i q_i prod_{j < i} L_j;  features = B (2 q / (L - 1) - 1) + b.

    The paper's bound for even L_i differs from this one by a shift of y_i, which a can make up for, and of the values,
    which b can. The affine maps A and B stand in place of the encoder's last and the decoder's first.

    Args:
        dim: D of the features.
        levels: L_1 to L_d, each >= 2; the paper takes 5 or more.

    Raises `UserError` for no levels, and for numbers below their least.
    Source: Mentzer et al. 2023, section 3.1 and appendix A.1.
    """

    levels: Tensor
    steps: Tensor

    def __init__(self, dim: int, levels: Sequence[int]) -> None:
        super().__init__()
        require_at_least(1, "FiniteScalarQuantizer", dim=dim)
        if not levels or min(levels) < 2:
            given, allowed = f"FiniteScalarQuantizer: levels={list(levels)}", "one number or more, each at least 2"
            raise UserError(given, allowed, "e.g. quantizer.levels=[8,5,5,5], 1,000 codes")
        self.dim, self.sizes = dim, (math.prod(levels),)
        self.inwards, self.outwards = nn.Linear(dim, len(levels)), nn.Linear(len(levels), dim)
        below = [math.prod(levels[:place]) for place in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("steps", torch.tensor(below), persistent=False)

    def quantize(self, values: Tensor, step: int) -> Quantized:
        bounded = (self.levels - 1) / 2 * (self.inwards(values).tanh() + 1)
        digits = bounded.round()
        codes = (digits.long() * self.steps).sum(-1)
        features = self.outwards(self.scaled(passed_through(bounded, digits)))
        return Quantized(features, codes, observed={"perplexity": perplexity(codes, self.sizes[0])})

    def looked_up(self, codes: Tensor) -> Tensor:
        return self.outwards(self.scaled(self.digits(codes)))

    def digits(self, codes: Tensor) -> Tensor:
        """q (N, ..., d) of codes (N, ...)."""
        return codes[..., None] // self.steps % self.levels

    def scaled(self, digits: Tensor) -> Tensor:
        """Values (N, ..., d) in [-1, 1]."""
        return 2 * digits / (self.levels - 1) - 1
