"""What ends a run between two steps: a value that is not finite, and the stop that a signal asks for."""

import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from duogen.modules.alternating import AlternatingModule
from duogen.modules.ranks import summed
from duogen.modules.window import Means
from duogen.signals import ENDING


class NotFinite(ArithmeticError):
    """A loss term or a parameter became NaN or infinite: names the player, the term and the step."""

    def __init__(self, player: str, term: str, step: int) -> None:
        super().__init__(f"{player}'s {term} is not finite, first seen at step {step}")
        self.player, self.term, self.step = player, term, step


def refuse_bad(means: Means) -> None:
    """Raises NotFinite for the first term that was not finite since the last row."""
    if means.bad is not None:
        name, step = means.bad
        _, player, term = name.split("/", 2)
        raise NotFinite(player, term, step)


def refuse_bad_parameters(module: AlternatingModule) -> None:
    """Raises NotFinite where parameters or an open window's gradients are, so that no checkpoint keeps them."""
    for player in module.players:
        if not finite(module.parameters_of(player)):
            raise NotFinite(player, "parameter", module.global_step)
    for name, window in module.turns.windows.items():
        if module.scaler is None and not finite([g for g in window.gradients if g is not None]):
            raise NotFinite(module.turns.turns[name].player, "gradient", module.global_step)


def finite(tensors: Sequence[Tensor]) -> bool:
    sums = [tensor.detach().sum(dtype=torch.float64) for tensor in tensors]
    return not sums or bool(torch.isfinite(torch.stack(sums)).all())


class Interrupted(BaseException):
    """A signal that ends the run at once; no KeyboardInterrupt, of which Lightning makes an exit code of its own."""


class Stop(Callback):
    """Hears the signals that ask a trial to end.

    While it trains, the first one asks for a stop between two steps, on which several ranks agree every `every` steps,
    and a second Ctrl-C ends it at once; before and after training any of them does. `signal` holds the one that came,
    `pruned` says that the sweep asked for the stop.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.signal: int | None = None
        self.training = self.pruned = False

    def listen(self) -> None:
        """Lets the signals in, of which a template's children begin deaf: one that came before is noticed here."""
        if threading.current_thread() is threading.main_thread():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    def notice(self, number: int, frame: FrameType | None) -> None:
        again = number == signal.SIGINT and self.signal == signal.SIGINT
        self.signal = number
        if again or not self.training:
            raise Interrupted

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.training = True

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.training = False

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.world_size == 1:
            pl_module.stopping = self.signal is not None
        elif trainer.global_step % self.every == 0:
            asked: Tensor = torch.tensor([float(self.signal or 0)], device=pl_module.device)
            agreed = int(summed(asked).item())
            pl_module.stopping = agreed > 0
            self.signal = self.signal or (signal.SIGTERM if agreed else None)
