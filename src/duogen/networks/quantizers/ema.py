"""A codebook of running means."""

from collections.abc import Mapping

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.networks.quantizers.codebook import Codebook
from duogen.networks.quantizers.quantizer import one_hot


class EmaQuantizer(Codebook):
    """Each vector is the running mean of the values that chose it; there is no codebook loss.

    After each step, of n_k values that chose code k, with sum s_k, over all its batches and ranks:
    N_k <- gamma N_k + (1 - gamma) n_k,  m_k <- gamma m_k + (1 - gamma) s_k,  e_k = m_k / N~_k,
    N~_k = (N_k + epsilon) / (N + K epsilon) N,  N = sum_k N_k. N_k starts from 1.

    From the step `revive_from` on, a code whose N_k is below `revive_below` times the mean N / K is dead: before e_k is
    computed it gets N_k = N / K and m_k = N_k z, z drawn from the features of the last batch on the first rank.

    Args:
        dim, size, commitment: as in `Codebook`.
        decay: gamma, in [0, 1), the paper's 0.99.
        epsilon: > 0, Laplace smoothing of the counts, 1e-5 in the authors' code; no count is ever 0.
        revive_below: a share in [0, 1).
        revive_from: 0-based step, >= 1, or null for never, as in the paper.

    Raises `UserError` for numbers out of range.
    Source: van den Oord et al. 2017, appendix A.1; random restarts: Dhariwal et al. 2020 (Jukebox), section 3.
    """

    counts: Tensor
    sums: Tensor

    def __init__(
        self,
        dim: int,
        size: int,
        commitment: float,
        decay: float,
        epsilon: float,
        revive_below: float,
        revive_from: int | None,
    ) -> None:
        super().__init__(dim, size, commitment)
        if not (0 <= decay < 1 and epsilon > 0 and 0 <= revive_below < 1 and (revive_from is None or revive_from > 0)):
            given = f"decay={decay}, epsilon={epsilon}, revive_below={revive_below}, revive_from={revive_from}"
            allowed = "decay and revive_below in [0, 1), epsilon > 0, revive_from a step >= 1 or null"
            raise UserError(f"EmaQuantizer: {given}", allowed, "e.g. decay=0.99 epsilon=1e-5 revive_from=null")
        self.decay, self.epsilon = decay, epsilon
        self.revive_below, self.revive_from = revive_below, revive_from
        self.register_buffer("codebook", torch.zeros(size, dim))
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", torch.zeros(size, dim))
        self.start()

    def start(self) -> None:
        self.codebook.copy_(self.drawn())
        self.sums.copy_(self.codebook)
        self.counts.fill_(1)

    def learning(self, values: Tensor, vectors: Tensor) -> Mapping[str, Tensor]:
        return {}

    def revives(self, step: int) -> bool:
        """Whether dead codes are replaced at the 0-based step."""
        return self.revive_from is not None and step >= self.revive_from

    @torch.no_grad()
    def gathered(self, features: Tensor, codes: Tensor) -> Tensor:
        """n (K,) and s (K, D), in a row."""
        chose = one_hot(codes.flatten(), self.size)
        return torch.cat([chose.sum(0), (chose.T @ self.rows(features)).flatten()])

    @torch.no_grad()
    def offered(self, features: Tensor, codes: Tensor, step: int) -> Tensor:
        """K features (K, D) of the batch, in a row, where codes may be revived."""
        values = self.rows(features)
        if not self.revives(step):
            return values.new_zeros(0)
        return values[torch.randint(len(values), (self.size,), device=values.device)].flatten()

    def rows(self, features: Tensor) -> Tensor:
        """Features (N, D, h, w) or (N, D) as (M, D)."""
        return features.float().movedim(1, -1).reshape(-1, self.dim)

    @torch.no_grad()
    def follow(self, gathered: Tensor, offered: Tensor, step: int) -> None:
        count, vectors = gathered[: self.size], gathered[self.size :].view(self.size, self.dim)
        self.counts.lerp_(count, 1 - self.decay)
        self.sums.lerp_(vectors, 1 - self.decay)
        if self.revives(step):
            self.revive(offered.view(self.size, self.dim))
        self.codebook.copy_(self.sums / self.smoothed()[:, None])

    def revive(self, features: Tensor) -> None:
        """Gives dead codes the count of a mean code, and one of the features (K, D) each."""
        mean = self.counts.mean()
        dead = self.counts < self.revive_below * mean
        self.counts.copy_(mean.where(dead, self.counts))
        self.sums.copy_((mean * features).where(dead[:, None], self.sums))

    def smoothed(self) -> Tensor:
        """N~, (K,)."""
        whole = self.counts.sum()
        return (self.counts + self.epsilon) / (whole + self.size * self.epsilon) * whole
