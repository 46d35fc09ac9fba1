"""The alternation as data: who acts when, on which objective, and in which order gradients become steps."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import lcm
from typing import TYPE_CHECKING, Any

from torch import Tensor

from duogen.errors import UserError
from duogen.modules.window import GradientWindow
from duogen.records import Batch, Loss

if TYPE_CHECKING:
    from duogen.modules.alternating import AlternatingModule


@dataclass(frozen=True)
class Turn:
    """One player's move: due at the 0-based step s when start <= s < until and (s - start + 1) % every == 0.

    Args:
        player: whose parameters the turn updates.
        objective: name of the module's objective to minimise; the player's name when null.
        every: batches per act, >= 1; five discriminator steps per generator step is generator every 5.
        accumulate: acts per optimizer step, >= 1; the gradient is divided by the count of all of them.
        clip: largest 2-norm of the player's gradient, > 0, or null.
        start: first step of the turn's phase, >= 0.
        until: step at which the phase has ended, > start, or null for never; an unfinished window steps then.

    Raises:
        UserError: a number is outside its range.
    """

    player: str
    objective: str | None = None
    every: int = 1
    accumulate: int = 1
    clip: float | None = None
    start: int = 0
    until: int | None = None

    def __post_init__(self) -> None:
        allowed = "every >= 1, accumulate >= 1, clip > 0 or null, start >= 0, until > start or null"
        inside = self.every >= 1 and self.accumulate >= 1 and self.start >= 0
        inside &= (self.clip is None or self.clip > 0) and (self.until is None or self.until > self.start)
        if not inside:
            raise UserError(f"{self} is out of range", allowed, "change the number under turns.<turn>")

    @property
    def period(self) -> int:
        """Batches per optimizer step."""
        return self.every * self.accumulate

    def lasts(self, step: int) -> bool:
        """Whether the 0-based `step` is in the turn's phase."""
        return self.start <= step and (self.until is None or step < self.until)

    def meets(self, other: "Turn") -> bool:
        """Whether some step is in both turns' phases."""
        return self.lasts(other.start) or other.lasts(self.start)

    def due(self, step: int) -> bool:
        """Whether the turn acts at the 0-based `step`."""
        return self.lasts(step) and (step - self.start + 1) % self.every == 0

    def closes(self, step: int) -> bool:
        """Whether no later step of the phase is due, so that an unfinished window must step now."""
        return self.until is not None and step + self.every >= self.until

    def acts(self, steps: int) -> int:
        """How often the turn acts during the first `steps` steps."""
        return max(0, (steps if self.until is None else min(steps, self.until)) - self.start) // self.every

    def updates(self, steps: int) -> int:
        """How many optimizer steps the turn takes during the first `steps` steps."""
        acts = self.acts(steps)
        left_over = self.until is not None and acts == self.acts(self.until) and acts % self.accumulate > 0
        return acts // self.accumulate + left_over


class Turns(ABC):
    """An ordered mapping of named turns and the way in which those due on a batch are played.

    Raises:
        UserError: there is no turn at all.
    """

    def __init__(self, **turns: Turn) -> None:
        if not turns:
            raise UserError("turns is empty", "at least one turn", "choose one of conf/turns, e.g. turns=alternate")
        self.turns: Mapping[str, Turn] = turns
        self.windows = {name: GradientWindow() for name in turns}
        self.acted = 0

    @abstractmethod
    def play(self, module: "AlternatingModule", batch: Batch) -> None:
        """Lets every due turn act on `batch` and steps the optimizers whose windows are full."""

    def act(self, module: "AlternatingModule", name: str, batch: Batch) -> Loss:
        """One forward and backward pass: the gradient of the acting player's parameters alone joins its window."""
        turn, window = self.turns[name], self.windows[name]
        parameters = module.parameters_of(turn.player)
        window.open(parameters)
        loss = self.loss(module, name, batch)
        total = self.weighed(module, name, loss.weighted(module.record(turn, loss)))
        whole = turn.accumulate == 1 and module.ranks == 1
        module.differentiate(total, loss.count if whole else 1, parameters)
        window.add(None if whole else loss.count)
        self.acted += 1
        return loss

    def loss(self, module: "AlternatingModule", name: str, batch: Batch) -> Loss:
        """What the turn minimises on `batch`, with its graph."""
        turn = self.turns[name]
        return module.objectives[turn.objective or turn.player](batch)

    def weighed(self, module: "AlternatingModule", name: str, total: Tensor) -> Tensor:
        """The sum (0-d) that the turn differentiates: k times as large where the turn is lazy."""
        lazy = module.lazy_objectives
        return total * self.laziness(name, lazy, module.step) if self.turns[name].objective in lazy else total

    def laziness(self, name: str, lazy: Collection[str], step: int) -> float:
        """k: how many steps on other objectives the player of a lazy turn takes per step of that turn.

        Other turns count whose phase holds the 0-based `step`; 1 where there is none. The lazy turn weighs k times, so
        that over k steps its gradient is, in expectation, that of the same terms inside each of these steps.
        Source: Karras et al. 2020 (StyleGAN2), appendix B.
        """
        turn = self.turns[name]
        others = [t for t in self.turns.values() if t.player == turn.player and t.objective not in lazy]
        return sum(turn.period / other.period for other in others if other.lasts(step)) or 1.0

    def shares(self, lazy: Collection[str]) -> dict[str, float]:
        """c = 1 / (1 + sum of 1/k over its lazy turns) for each player: which share of its steps is not lazy."""
        extra: dict[str, float] = {}
        for name, turn in self.turns.items():
            more = 1 / self.laziness(name, lazy, turn.start) if turn.objective in lazy else 0.0
            extra[turn.player] = extra.get(turn.player, 0.0) + more
        return {player: 1 / (1 + more) for player, more in extra.items()}

    @property
    def repeated(self) -> str | None:
        """A player that may be differentiated or stepped more than once on a batch, if any."""
        for one, other in combinations(self.turns.values(), 2):
            if one.player == other.player and one.meets(other):
                return one.player
        return None

    def full(self, module: "AlternatingModule", name: str) -> bool:
        turn, acts = self.turns[name], self.windows[name].acts
        return acts > 0 and (acts >= turn.accumulate or turn.closes(module.step))

    def gaps(self, steps: int) -> int | None:
        """The first of the first `steps` steps at which no turn is due, or None."""
        edges = {0, steps} | {t.start for t in self.turns.values()} | {t.until or 0 for t in self.turns.values()}
        for first, last in pairwise(sorted(edge for edge in edges if edge <= steps)):
            active = [t for t in self.turns.values() if t.start <= first and (t.until is None or t.until >= last)]
            if any(turn.every == 1 for turn in active):
                continue
            period = lcm(*(turn.every for turn in active))
            for step in range(first, min(last, first + period)):
                if not any(turn.due(step) for turn in active):
                    return step
        return None

    def updates(self, steps: int) -> dict[str, int]:
        """Optimizer steps of each player during the first `steps` steps, by arithmetic."""
        totals: dict[str, int] = {}
        for turn in self.turns.values():
            totals[turn.player] = totals.get(turn.player, 0) + turn.updates(steps)
        return totals

    def state_dict(self) -> dict[str, Any]:
        """The unfinished windows: plain containers and tensors."""
        return {name: window.state_dict() for name, window in self.windows.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, window in self.windows.items():
            window.load_state_dict(state[name])


class Alternate(Turns):
    """Plays the due turns in order, each from what the one before has left (Goodfellow et al. 2014, algorithm 1)."""

    def play(self, module: "AlternatingModule", batch: Batch) -> None:
        for name, turn in self.turns.items():
            self.acted = 0
            while module.due(turn):
                loss = self.act(module, name, batch)
                stepped = self.full(module, name) and module.update(turn, self.windows[name])
                self.windows[name].close(module.parameters_of(turn.player))
                module.after_turn(turn, loss)
                module.average(turn, stepped)


class Simultaneous(Turns):
    """Computes the gradients of all due turns at the same parameters, then steps (Mescheder et al. 2017, eq. 3).

    Each turn acts once per batch at most, since what it reacts to changes only after all have stepped.
    """

    def play(self, module: "AlternatingModule", batch: Batch) -> None:
        self.settle(module, self.differentiate(module, batch))

    def differentiate(self, module: "AlternatingModule", batch: Batch) -> dict[str, Loss]:
        """Every due turn acts at the parameters as they are; the losses by turn."""
        losses: dict[str, Loss] = {}
        for name, turn in self.turns.items():
            self.acted = 0
            if module.due(turn):
                losses[name] = self.act(module, name, batch)
                self.windows[name].close(module.parameters_of(turn.player))
        return losses

    def settle(self, module: "AlternatingModule", losses: Mapping[str, Loss]) -> None:
        """Steps the optimizers of the turns that acted, then lets what reacts to them see all of the steps."""
        stepped: dict[str, bool] = {}
        for name in losses:
            turn, window = self.turns[name], self.windows[name]
            window.open(module.parameters_of(turn.player))
            stepped[name] = self.full(module, name) and module.update(turn, window)
            window.close(module.parameters_of(turn.player))
        for name, loss in losses.items():
            module.after_turn(self.turns[name], loss)
            module.average(self.turns[name], stepped[name])
