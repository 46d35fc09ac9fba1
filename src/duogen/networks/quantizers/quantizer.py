"""What every quantizer offers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Quantized:
    """What a quantizer made of the features of N examples.

    Args:
        features: those of the codes, (N, D, h, w) or (N, D), with a gradient for the features that were given.
        codes: integers (N, h, w) or (N,), with one more dimension at the end where a place has several codes.
        terms: what is minimised beside the distortion, (N,) each.
        weights: of the terms, 1 where none is named.
        observed: 0-d values worth a look, such as `perplexity`, from 1 to the number of codes.
    """

    features: Tensor
    codes: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, float | Tensor] = field(default_factory=dict)
    observed: Mapping[str, Tensor] = field(default_factory=dict)


class Quantizer(nn.Module, ABC):
    """Maps features (N, D, h, w), or (N, D), to integer codes and these to features, D = `dim`.

    `sizes` says how many values the codes of a place have: one number, or one for each of its several codes. A subclass
    says what it does with values (N, h, w, D), or (N, D), the features with their places first, in single precision.
    """

    dim: int
    sizes: Sequence[int]

    @abstractmethod
    def quantize(self, values: Tensor, step: int) -> Quantized:
        """What becomes of the values (N, ..., D) at the 0-based step; `features` keep their shape here."""

    @abstractmethod
    def looked_up(self, codes: Tensor) -> Tensor:
        """The values (N, ..., D) of integer codes."""

    def forward(self, features: Tensor, step: int) -> Quantized:
        """(N, D, h, w) or (N, D), at the 0-based step, to their codes; in evaluation without randomness."""
        with unrounded(features.device):
            made = self.quantize(features.float().movedim(1, -1), step)
        return Quantized(made.features.movedim(-1, 1), made.codes, made.terms, made.weights, made.observed)

    def decode(self, codes: Tensor) -> Tensor:
        """Integer codes to the features (N, D, h, w) or (N, D) that `forward` has for them in evaluation."""
        with unrounded(codes.device):
            return self.looked_up(codes).movedim(-1, 1)

    def gathered(self, features: Tensor, codes: Tensor) -> Tensor:
        """What feedback follows in this rank's share of a batch, (S,), to be summed over batches and ranks.

        Features (N, D, h, w) or (N, D) are what `codes` were made of. Of length 0 where nothing follows.
        """
        return features.new_zeros(0)

    def offered(self, features: Tensor, codes: Tensor, step: int) -> Tensor:
        """What dead vectors may become at the 0-based step, (R,), of which one batch of one rank is heard."""
        return features.new_zeros(0)

    def follow(self, gathered: Tensor, offered: Tensor, step: int) -> None:
        """Lets the buffers follow what was gathered, (S,), of all ranks, and take what was offered, (R,)."""


def unrounded(device: torch.device) -> AbstractContextManager[Any]:
    """Single precision, whatever is around: half of it confuses near codes."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def over_places(values: Tensor) -> Tensor:
    """The mean over the places of each example: (N, ...) to (N,)."""
    return values.reshape(len(values), -1).mean(1)


def passed_through(values: Tensor, quantised: Tensor) -> Tensor:
    """The quantised values, whose gradient goes to `values` as it is: z + sg(q - z) (van den Oord et al. 2017)."""
    return values + (quantised - values).detach()


def one_hot(codes: Tensor, size: int) -> Tensor:
    """(..., K), K = `size`, 1 where the code (...) is; torch's own reads values on the way."""
    return torch.zeros(*codes.shape, size, device=codes.device).scatter_(-1, codes[..., None], 1.0)


def perplexity(codes: Tensor, size: int) -> Tensor:
    """exp(-sum_k p_k ln p_k), 0-d, p_k the share of code k of `size` among all codes: 1 if all agree, else up to K."""
    ones = torch.ones(codes.numel(), device=codes.device)
    shares = ones.new_zeros(size).scatter_add_(0, codes.flatten(), ones) / codes.numel()
    return torch.special.entr(shares).sum().exp()
