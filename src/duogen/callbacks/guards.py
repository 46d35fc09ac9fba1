"""What ends a run between two steps: a value that is not finite, and the stop that a signal asks for."""

import signal
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from duogen.modules.alternating import AlternatingModule
from duogen.modules.ranks import summed
from duogen.modules.window import Means


class NotFinite(ArithmeticError):
    """A loss term or a parameter became NaN or infinite: names the player, the term and the step."""

    def __init__(self, player: str, term: str, step: int) -> None:
        super().__init__(f"{player}'s {term} is not finite at step {step}")
        self.player, self.term, self.step = player, term, step


def refuse_bad(means: Means) -> None:
    """Raises NotFinite for the first term that was not finite since the last row."""
    if means.bad is not None:
        name, step = means.bad
        _, player, term = name.split("/", 2)
        raise NotFinite(player, term, step)


def refuse_bad_parameters(module: AlternatingModule) -> None:
    """Raises NotFinite where a player's parameters are, so that no checkpoint keeps them."""
    for player in module.players:
        parameters = [parameter.detach() for parameter in module.parameters_of(player)]
        if parameters and not bool(torch.isfinite(torch.stack([p.sum(dtype=torch.float64) for p in parameters])).all()):
            raise NotFinite(player, "parameter", module.global_step)


class Stop(Callback):
    """Turns SIGTERM, SIGUSR1, SIGUSR2 and the first Ctrl-C into a stop between two steps.

    Several ranks agree on it every `log_every` steps.

    After the run `signal` holds the signal that stopped it, or None. A second Ctrl-C interrupts at once.
    """

    def __init__(self, log_every: int) -> None:
        self.log_every, self.signal = log_every, None

    signal: int | None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        # Lightning broadcasts a SIGTERM flag at every batch; ours is agreed with the rows.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
            signal.signal(number, self.notice)

    def notice(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.world_size == 1:
            pl_module.stopping = self.signal is not None
        elif trainer.global_step % self.log_every == 0:
            asked: Tensor = torch.tensor([float(self.signal or 0)], device=pl_module.device)
            agreed = int(summed(asked).item())
            pl_module.stopping = agreed > 0
            self.signal = self.signal or (signal.SIGTERM if agreed else None)
