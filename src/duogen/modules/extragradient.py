"""Turns that look one step ahead before they step: the extragradient method for games."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.modules.turns import Simultaneous, Turn
from duogen.modules.window import GradientWindow
from duogen.records import Batch

if TYPE_CHECKING:
    from duogen.modules.alternating import AlternatingModule


class Extragradient(Simultaneous):
    """Steps from w_t with the gradients found at w', where the players' own optimizers would have led them.

    w' = w_t + u(g(w_t, b')),  w_{t+1} = w_t + u(g(w', b)), with g the gradients of all due turns, u the update that the
    optimizer makes of a gradient, b the batch and b' another one from the second stream, as the paper draws two. The
    optimizers' moments take in both gradients; their states count two steps per batch, `updates` one. Feedback, moving
    averages and clipped weights follow the step alone; running statistics of the networks see both batches.
    Source: Gidel et al. 2019, algorithm 4, option 1 (ExtraAdam; with SGD it is ExtraSGD, algorithm 2).

    Raises:
        UserError: a turn accumulates over several acts.
    """

    def __init__(self, **turns: Turn) -> None:
        super().__init__(**turns)
        for name, turn in turns.items():
            if turn.accumulate > 1:
                given = f"turns.{name}.accumulate={turn.accumulate} with extragradient turns, which step on every batch"
                raise UserError(given, "1", f"use turns.{name}.accumulate=1 and a larger data.batch_size")

    @property
    def repeated(self) -> str | None:
        return next(iter(self.turns.values())).player

    def play(self, module: "AlternatingModule", batch: Batch) -> None:
        due = {name: turn for name, turn in self.turns.items() if self.asked(module, turn)}
        if not due:
            return
        parameters: list[Tensor] = list(
            {id(p): p for turn in due.values() for p in module.parameters_of(turn.player)}.values()
        )
        with torch.no_grad():
            before = torch._foreach_clone(parameters)
        self.extrapolate(module, due, module.extra_batch())
        losses = self.differentiate(module, batch)
        with torch.no_grad():
            torch._foreach_copy_(parameters, before)
        self.settle(module, losses)

    def asked(self, module: "AlternatingModule", turn: Turn) -> bool:
        """Whether the turn, which has not acted on this batch yet, is due."""
        self.acted = 0
        return module.due(turn)

    def extrapolate(self, module: "AlternatingModule", due: Mapping[str, Turn], batch: Batch) -> None:
        """Moves all players of the due turns by one step that is neither recorded nor counted."""
        windows = {name: self.glance(module, name, batch) for name in due}
        for name, turn in due.items():
            parameters = module.parameters_of(turn.player)
            windows[name].open(parameters)
            module.gather(turn, windows[name])
            module.optimizer_of(turn.player).step()
            windows[name].empty()
            windows[name].close(parameters)

    def glance(self, module: "AlternatingModule", name: str, batch: Batch) -> GradientWindow:
        """The gradient of a turn's objective, in a window of its own."""
        turn, window = self.turns[name], GradientWindow()
        parameters = module.parameters_of(turn.player)
        self.acted = 0
        loss = self.loss(module, name, batch)
        total = self.weighed(module, name, loss.weighted(loss.sums()))
        alone = module.ranks == 1
        module.differentiate(total, loss.count if alone else 1, parameters)
        window.add(None if alone else loss.count)
        window.close(parameters)
        return window
