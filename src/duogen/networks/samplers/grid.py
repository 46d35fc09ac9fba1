"""Samplers of integer codes that lie on a grid, one code after the other."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from itertools import product

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from duogen.errors import require_at_least
from duogen.networks.samplers.descent import Descent
from duogen.networks.samplers.sampler import Sampler


class GridSampler(Sampler):
    """p(c | y) = prod_p prod_l p(c_pl | c_<p, c_p1 to c_p(l-1), y): places p row by row, then the L codes of a place.

    A subclass says what a place sees of the places before it, h_p (W,); the code l of the place is drawn from a network
    of one hidden layer of h_p + sum_{j < l} e_j(c_pj), e_j being the W numbers of a code (with several codes a place:
    Lee et al. 2022, section 3.2). Each code is the quantile of its distribution at Phi(e) of its own number of noise.

    Args:
        places: (h, w), or () for one place.
        sizes: how many values each of the L codes of a place has.
        classes: how many, or null.
        width: W.
        fitting: how it is fitted.
    Codes are (N, h, w), or (N,) for one place, with one more dimension at the end where L > 1.
    """

    def __init__(
        self, places: Sequence[int], sizes: Sequence[int], classes: int | None, width: int, fitting: Descent
    ) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, width=width)
        self.code_shape = (*places, *([len(sizes)] if len(sizes) > 1 else []))
        self.shape = (*(places or (1, 1)), len(sizes))
        self.classes, self.fitting, self.noise_dim = classes, fitting, math.prod(self.shape)
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, size)) for size in sizes
        )

    @abstractmethod
    def seen(self, values: Tensor, labels: Tensor | None) -> Tensor:
        """(N, r, w, W), the first r rows of the grid, to what each place sees of the places before it, as large."""

    def fit(self, codes: Tensor, labels: Tensor | None, generator: Generator) -> str:
        return self.fitting(self, codes, labels, generator)

    def embedded(self, codes: Tensor) -> list[Tensor]:
        """Codes (N, ..., L) to the numbers (N, ..., W) of each of the L."""
        return [embed(code) for embed, code in zip(self.embeddings, codes.unbind(-1), strict=True)]

    def logits(self, codes: Tensor, labels: Tensor | None) -> list[Tensor]:
        """Of codes (N, h, w, L), the unnormalised log-probabilities (N, h, w, K_l) of each code given those before."""
        each = self.embedded(codes)
        known, found = self.seen(torch.stack(each).sum(0), labels), []
        for head, numbers in zip(self.heads, each, strict=True):
            found.append(head(known))
            known = known + numbers
        return found

    def log_prob(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        grid = codes.reshape(-1, *self.shape)
        pairs = zip(self.logits(grid, labels), grid.unbind(-1), strict=True)
        losses = [cross_entropy(logits.movedim(-1, 1), code, reduction="none") for logits, code in pairs]
        return -torch.stack(losses).sum((0, 2, 3))

    @torch.no_grad()
    def forward(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        shares = torch.special.ndtr(noise.double()).view(-1, *self.shape)
        codes = torch.zeros(shares.shape, dtype=torch.long, device=noise.device)
        for row, column in product(*map(range, self.shape[:2])):
            values = torch.stack(self.embedded(codes[:, : row + 1])).sum(0)
            known = self.seen(values, labels)[:, row, column]
            for level, (head, embed) in enumerate(zip(self.heads, self.embeddings, strict=True)):
                codes[:, row, column, level] = drawn = quantile(head(known), shares[:, row, column, level])
                known = known + embed(drawn)
        return codes.view(len(noise), *self.code_shape)


def quantile(logits: Tensor, share: Tensor) -> Tensor:
    """The smallest code (N,) whose distribution function, of logits (N, K), exceeds the share (N,) in [0, 1)."""
    below = logits.double().softmax(1).cumsum(1)
    return (below <= share[:, None] * below[:, -1:]).sum(1).clamp(max=logits.shape[1] - 1)
