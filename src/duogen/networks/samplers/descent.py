"""How samplers with parameters are fitted: by likelihood, until held-out codes say enough."""

import math
from copy import deepcopy

import torch
from torch import Generator, Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from duogen.errors import UserError, require_at_least
from duogen.networks.samplers.sampler import Sampler

SHARE = 10
LEAST = 2


class Descent:
    """Minimises -log p(z | y) per code by Adam on nine tenths of the codes; keeps what is best on the tenth.

    The tenth and the batches are drawn by the generator; the learning rate falls to 0 by a cosine. Every `look_every`
    steps the held-out codes are looked at, and after `patience` looks without an improvement it ends.

    Args:
        lr: Adam's, > 0.
        batch_size: codes of a step, >= 1; all where there are fewer.
        steps: most steps, >= 1.
        look_every: steps between two looks, >= 1.
        patience: looks, >= 1.
    Raises `UserError` for numbers below their least.
    """

    def __init__(self, lr: float, batch_size: int, steps: int, look_every: int, patience: int) -> None:
        require_at_least(1, "Descent", batch_size=batch_size, steps=steps, look_every=look_every, patience=patience)
        if not lr > 0:
            raise UserError(f"Descent: lr={lr}", "more than 0", "e.g. sampler.fitting.lr=0.001")
        self.lr, self.batch_size, self.steps = lr, batch_size, steps
        self.look_every, self.patience = look_every, patience

    def __call__(self, sampler: Sampler, codes: Tensor, labels: Tensor | None, generator: Generator) -> str:
        """Leaves the sampler, in evaluation mode, with its best parameters, and says how good these are.

        Raises `UserError` for fewer than two codes, and where no likelihood was finite.
        """
        sampler.refuse_few(codes, None, LEAST)
        order = torch.randperm(len(codes), generator=generator).to(codes.device)
        held, kept = order.tensor_split((max(1, len(order) // SHARE),))
        optimizer = torch.optim.Adam(sampler.parameters(), lr=self.lr)
        schedule = CosineAnnealingLR(optimizer, self.steps)
        best, state, looked, rest = math.inf, None, 0, kept[:0]
        for step in range(1, self.steps + 1):
            rest = rest if len(rest) else kept[torch.randperm(len(kept), generator=generator).to(kept.device)]
            self.step(sampler.train(), optimizer, *chosen(codes, labels, rest[: self.batch_size]))
            schedule.step()
            rest = rest[self.batch_size :]
            if step % self.look_every and step < self.steps:
                continue
            value, looked = self.held_out(sampler.eval(), *chosen(codes, labels, held)), looked + 1
            if value < best:
                best, state, looked = value, deepcopy(sampler.state_dict()), 0
            elif looked == self.patience:
                break
        return self.left(sampler.eval(), best, state)

    def step(self, sampler: Sampler, optimizer: torch.optim.Optimizer, codes: Tensor, labels: Tensor | None) -> None:
        optimizer.zero_grad()
        (-sampler.log_prob(codes, labels).mean()).backward()
        optimizer.step()

    @torch.no_grad()
    def held_out(self, sampler: Sampler, codes: Tensor, labels: Tensor | None) -> float:
        """The mean of -log p(z | y) in nats over the codes, a batch at a time."""
        total = 0.0
        for rows in torch.arange(len(codes), device=codes.device).split(self.batch_size):
            total -= float(sampler.log_prob(*chosen(codes, labels, rows)).double().sum())
        return total / len(codes)

    def left(self, sampler: Sampler, best: float, state: dict[str, Tensor] | None) -> str:
        if state is None:
            given = f"{type(sampler).__name__}: no likelihood of held-out codes was finite"
            raise UserError(given, "a fit that does not diverge", f"e.g. sampler.fitting.lr={self.lr / 10:g}")
        sampler.load_state_dict(state)
        return f"{best:.4g} nats a held-out code"


def chosen(codes: Tensor, labels: Tensor | None, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    return codes[rows], None if labels is None else labels[rows]
