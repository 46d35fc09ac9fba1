"""Several codes for each place, each for what the ones before have left."""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn

from duogen.errors import require_at_least
from duogen.networks.quantizers.codebook import Codebook
from duogen.networks.quantizers.quantizer import Quantized, Quantizer, passed_through, perplexity


class ResidualQuantizer(Quantizer):
    """A value z is the sum of `depth` vectors: e^l is the nearest to r_l = z - sum_{j < l} sg(e^j), l = 1 to depth.

    Each r_l has a codebook of its own, as `inner` is one, and their terms are summed over l: the commitment is
    sum_l |z - sg(e^1 + ... + e^l)|^2. The codes are (N, h, w, depth), coarse to fine; `perplexity` is the mean over the
    codebooks. Raises `UserError` for a depth below 2.
    Source: Zeghidour et al. 2021 (SoundStream), algorithm 1; Lee et al. 2022, section 3.1, where all depths share
    one codebook.
    """

    def __init__(self, inner: Codebook, depth: int) -> None:
        super().__init__()
        require_at_least(2, "ResidualQuantizer", depth=depth)
        self.dim, self.sizes = inner.dim, (inner.size,) * depth
        self.commitment = inner.commitment
        self.stages = nn.ModuleList([inner, *(deepcopy(inner) for _ in range(depth - 1))])
        for stage in self.books[1:]:
            stage.start()

    @property
    def books(self) -> list[Codebook]:
        return [stage for stage in self.stages if isinstance(stage, Codebook)]

    def quantize(self, values: Tensor, step: int) -> Quantized:
        rest, found = values, []
        for book in self.books:
            found.append(book.assigned(rest))
            rest = rest - found[-1].vectors.detach()
        codes = torch.stack([each.codes for each in found], -1)
        terms = {name: torch.stack([each.terms[name] for each in found]).sum(0) for name in found[0].terms}
        each = [perplexity(codes[..., place], size) for place, size in enumerate(self.sizes)]
        return Quantized(
            passed_through(values, self.looked_up(codes)),
            codes,
            terms,
            {"commitment": self.commitment},
            {"perplexity": torch.stack(each).mean()},
        )

    def looked_up(self, codes: Tensor) -> Tensor:
        return torch.stack([book.looked_up(code) for book, code in zip(self.books, codes.unbind(-1), strict=True)]).sum(
            0
        )

    @torch.no_grad()
    def gathered(self, features: Tensor, codes: Tensor) -> Tensor:
        """What each codebook follows, one after the other."""
        return torch.cat([book.gathered(rest, code) for book, rest, code in self.shares(features, codes)])

    @torch.no_grad()
    def offered(self, features: Tensor, codes: Tensor, step: int) -> Tensor:
        """What the vectors of each codebook may become, one codebook after the other."""
        return torch.cat([book.offered(rest, code, step) for book, rest, code in self.shares(features, codes)])

    def shares(self, features: Tensor, codes: Tensor) -> Iterator[tuple[Codebook, Tensor, Tensor]]:
        """Each codebook with what was left for it, (N, D, h, w) or (N, D), and the codes that it gave."""
        rest = features.float()
        for book, code in zip(self.books, codes.unbind(-1), strict=True):
            yield book, rest, code
            rest = rest - book.decode(code)

    def follow(self, gathered: Tensor, offered: Tensor, step: int) -> None:
        count = len(self.books)
        parts = gathered.reshape(count, len(gathered) // count), offered.reshape(count, len(offered) // count)
        for book, mine, anew in zip(self.books, *parts, strict=True):
            book.follow(mine, anew, step)
