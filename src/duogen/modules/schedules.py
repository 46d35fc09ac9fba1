"""Schedules of an optimizer's numbers as functions of the step."""

from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from duogen.errors import UserError
from duogen.ramp import Cosine, Ramp


class Ramped(LRScheduler):
    """Learning rate lr_0 f(t) and, where asked, Adam's second decay beta2(t), at the 0-based step t.

    The rate is a factor, so that each player keeps its own lr_0; the decay is the number itself. The step is all the
    state. Huang et al. 2024 (R3GAN), appendix, lets both follow a cosine while training settles.

    Args:
        optimizer: whose numbers are set, in all its parameter groups.
        lr: f, the factor.
        beta2: in [0, 1) at every step, or null to leave it alone.

    Raises:
        UserError: beta2 is to change, but the optimizer has none, or it leaves [0, 1).
    """

    def __init__(self, optimizer: Optimizer, lr: Ramp, beta2: Ramp | None) -> None:
        if beta2 is not None and "betas" not in optimizer.defaults:
            given = f"scheduler.beta2 with {type(optimizer).__name__}, which has no betas"
            raise UserError(
                given, "null, or an optimizer of Adam's kind", "use scheduler.beta2=null, or optimizer=adam"
            )
        self.lr, self.beta2 = lr, beta2
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        return [rate * self.lr(self.last_epoch) for rate in self.base_lrs]

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.beta2 is None:
            return
        decay = self.beta2(self.last_epoch)
        if not 0 <= decay < 1:
            given = f"scheduler.beta2 is {decay} at step {self.last_epoch}"
            raise UserError(given, "0 or more, less than 1", "change the ends of scheduler.beta2")
        for group in self.optimizer.param_groups:
            group["betas"] = (group["betas"][0], decay)

    def state_dict(self) -> dict[str, Any]:
        """The step; the values follow from it."""
        return {"last_epoch": self.last_epoch}


@dataclass(frozen=True)
class WarmupCosine(Ramp):
    """A straight line up to `first` over the share `warmup` of `stop` steps, then half a cosine wave to `last`.

    v(t) = first (t + 1) / w for t < w = floor(warmup stop); from there on Cosine(first, last, w, stop), so that no step
    is lost at the value 0. Raises `UserError` unless 0 <= warmup < 1 and stop >= 1.
    Source: Goyal et al. 2017, section 2.2, for the warm-up; Loshchilov and Hutter 2017, eq. 5, for the wave.
    """

    first: float
    last: float
    warmup: float
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1 or self.stop < 1:
            given = f"WarmupCosine: warmup={self.warmup}, stop={self.stop}"
            raise UserError(given, "a share, 0 <= warmup < 1, of 1 step or more", "e.g. warmup=0.05")

    @property
    def steps(self) -> int:
        """w, of the warm-up."""
        return int(self.warmup * self.stop)

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return self.first * (step + 1) / self.steps
        return Cosine(self.first, self.last, self.steps, self.stop)(step)
