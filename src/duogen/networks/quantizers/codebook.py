"""Quantizers that know their codes by heart."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from duogen.errors import UserError, require_at_least
from duogen.networks.quantizers.quantizer import Quantized, Quantizer, over_places, passed_through, perplexity


class Assigned(NamedTuple):
    """The nearest vectors (N, ..., D) of values, their codes (N, ...), and the terms (N,)."""

    vectors: Tensor
    codes: Tensor
    terms: Mapping[str, Tensor]


class Codebook(Quantizer, ABC):
    """Replaces a value z (D,) by the nearest e_k of K = `size` vectors, k = argmin_j |z - e_j|^2.

    The term `commitment` is |z - sg(e_k)|^2, summed over D, averaged over the places of an example, of weight
    `commitment`, beta >= 0. How the vectors learn is the subclass's. They start uniform with variance 1/D, so of
    lengths near 1, as in the authors' code.
    Raises `UserError` for sizes below 1 and a negative weight.
    Source: van den Oord et al. 2017, eq. 1 to 3 and the remark on N latents below them.
    """

    codebook: Tensor

    def __init__(self, dim: int, size: int, commitment: float) -> None:
        super().__init__()
        name = type(self).__name__
        require_at_least(1, name, dim=dim, size=size)
        if commitment < 0:
            raise UserError(f"{name}: commitment={commitment}", "0 or more", "e.g. quantizer.commitment=0.25")
        self.dim, self.size, self.sizes, self.commitment = dim, size, (size,), commitment

    @abstractmethod
    def start(self) -> None:
        """Draws the codebook anew, from the default generator."""

    @abstractmethod
    def learning(self, values: Tensor, vectors: Tensor) -> Mapping[str, Tensor]:
        """The terms (N,) by which the vectors, chosen for values (N, ..., D), learn."""

    def drawn(self) -> Tensor:
        """(K, D), uniform in [-sqrt(3/D), sqrt(3/D)]."""
        return (2 * torch.rand(self.size, self.dim) - 1) * math.sqrt(3 / self.dim)

    def nearest(self, values: Tensor) -> Tensor:
        """Codes (N, ...) of values (N, ..., D)."""
        codebook = self.codebook.detach()
        # |z|^2 is the same for all codes, and is left out.
        return (codebook.square().sum(1) - 2 * (values.detach() @ codebook.T)).argmin(-1)

    def assigned(self, values: Tensor) -> Assigned:
        codes = self.nearest(values)
        vectors = self.looked_up(codes)
        commitment = over_places((values - vectors.detach()).square().sum(-1))
        return Assigned(vectors, codes, {"commitment": commitment, **self.learning(values, vectors)})

    def quantize(self, values: Tensor, step: int) -> Quantized:
        vectors, codes, terms = self.assigned(values)
        observed = {"perplexity": perplexity(codes, self.size)}
        weights = {"commitment": self.commitment}
        return Quantized(passed_through(values, vectors), codes, terms, weights, observed)

    def looked_up(self, codes: Tensor) -> Tensor:
        return embedding(codes, self.codebook)
