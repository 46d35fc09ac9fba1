"""The module that lets players take turns: everything about stepping, nothing about losses."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from duogen.errors import UserError
from duogen.modules.average import MovingAverage
from duogen.modules.evaluated import EvaluatedModule
from duogen.modules.ranks import sum_over_ranks, summed
from duogen.modules.turns import Turn, Turns
from duogen.modules.window import GradientWindow, LogWindow
from duogen.records import Batch, Loss


@dataclass(frozen=True)
class Learner:
    """How one player learns: its optimizer, its learning-rate schedule by step, and the average of its weights."""

    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    scheduler: Callable[[Optimizer], LRScheduler] | None = None
    average: Callable[[nn.Module], MovingAverage] | None = None


@dataclass
class Progress:
    """What has happened so far: optimizer steps by player and extra batches drawn."""

    updates: dict[str, int] = field(default_factory=dict)
    extras: int = 0


class AlternatingModule(EvaluatedModule):
    """Players take turns; every turn has an objective; one batch is one step.

    A family gives `players` and `objectives`, and `measure` to be evaluated; it never calls backward, an optimizer or a
    logger. Parameters outside the acting player receive no gradient at all, since backward is told its inputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.turns: Turns
        self.learners: Mapping[str, Learner] = {}
        self.averages = nn.ModuleDict()
        self.progress = Progress()
        self.last_row: dict[str, float] = {}
        self.logged = LogWindow()
        self.schedulers: dict[str, LRScheduler] = {}
        self.step, self.steps, self.ranks = 0, 0, 1
        self.watched, self.stopping = False, False
        self.monitor: str | None = None
        self._optimizer_of: dict[str, Optimizer] = {}
        self._parameters_of: dict[str, list[nn.Parameter]] = {}
        self.scaler: GradScaler | None = None
        self._scaled: set[str] = set()
        self._mixed = False
        self._share: tuple[int | Tensor, Tensor] = (0, torch.zeros(()))
        self._extra: Iterator[Batch] | None = None

    @property
    @abstractmethod
    def players(self) -> Mapping[str, nn.Module]:
        """Whose parameters a turn updates, by name; two players may share a network."""

    @property
    @abstractmethod
    def objectives(self) -> Mapping[str, Callable[[Any], Loss]]:
        """What a turn minimises, by name: a batch in, a loss out."""

    @property
    def evaluated(self) -> Sequence[str]:
        """The players whose weights an evaluation depends on."""
        return tuple(self.players)

    @property
    def compiled(self) -> Sequence[nn.Module]:
        """The networks that compile=true compiles: those that are called as they are."""
        return tuple(self.players.values())

    @property
    def changing_buffers(self) -> Sequence[str]:
        """Prefixes of the buffers that a turn may change beside its own player's, by their state-dict names."""
        return ()

    @property
    def lazy_objectives(self) -> Sequence[str]:
        """Objectives that only regularise: a turn of one, due every k batches, counts k times."""
        return ()

    def after_turn(self, turn: Turn, loss: Loss) -> None:
        """Called after each act and the step it led to: here feedback state, in registered buffers, is updated."""

    def due(self, turn: Turn) -> bool:
        """Whether the turn acts (again) on this batch: once where its schedule says so; a method may override it."""
        return self.turns.acted == 0 and turn.due(self.step)

    def agreed(self, value: Tensor) -> Tensor:
        """The mean of a value of any shape over the ranks: what feedback follows, so that all ranks decide alike."""
        return summed(value.detach().clone()) / self.ranks

    def extra_batch(self) -> Any:
        """One more batch, from a second stream that is as resumable as the first."""
        if self._extra is None:
            datamodule: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
            self._extra = iter(datamodule.stream(self.progress.extras, purpose="extra"))
        self.progress.extras += 1
        return next(self._extra).to(self.device)

    def learn(self, turns: Turns, learners: Mapping[str, Learner], monitor: str | None) -> None:
        """Says how the players learn; `monitor` names the validated value that a plateau schedule follows."""
        self.turns, self.learners, self.monitor = turns, learners, monitor
        self.progress = Progress(dict.fromkeys(self.players, 0))
        for player, learner in learners.items():
            if learner.average is not None:
                self.averages[player] = learner.average(self.players[player])

    def averaged(self, player: str) -> nn.Module:
        """The player's network as it is evaluated: its average once that has begun, else itself."""
        if player in self.averages:
            average = self.averages[player]
            assert isinstance(average, MovingAverage)
            if average.begun:
                return average.network
        return self.players[player]

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        if player not in self._parameters_of:
            self._parameters_of[player] = [p for p in self.players[player].parameters() if p.requires_grad]
        return self._parameters_of[player]

    def configure_optimizers(self) -> list[Optimizer]:
        for player, learner in self.learners.items():
            optimizer = self._optimizer_of[player] = learner.optimizer(self.parameters_of(player))
            if learner.scheduler is not None:
                self.schedulers[player] = learner.scheduler(optimizer)
                # A schedule ticks by batch, also before its player's first turn: torch's warning does not apply.
                optimizer._opt_called = True  # pyright: ignore[reportAttributeAccessIssue]
        return list(self._optimizer_of.values())

    def optimizer_of(self, player: str) -> Optimizer:
        return self._optimizer_of[player]

    def on_fit_start(self) -> None:
        self.ranks = self.trainer.world_size
        self.steps = self.global_step
        plugin = self.trainer.precision_plugin
        self._mixed = isinstance(plugin, MixedPrecision)
        self.scaler = plugin.scaler if isinstance(plugin, MixedPrecision) else None

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Hands the due turns to `Turns`, and counts the batch as one step whatever they did."""
        self.step = self.steps
        self.turns.play(self, batch)
        if self.scaler is not None and self._scaled:
            self.scaler.update()
            self._scaled.clear()
        for scheduler in self.schedulers.values():
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
        counter = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        counter.increment_ready()
        counter.increment_completed()
        self.steps += 1

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def differentiate(self, total: Tensor, count: int | Tensor, parameters: Sequence[nn.Parameter]) -> None:
        """Adds the gradient of `total / count` (0-d) to `parameters` alone, scaled where a scaler is at work.

        Outside autocast: a penalty's second derivative would be rounded inside it.
        """
        if isinstance(count, Tensor) or self._share[0] != count:
            self._share = (count, 1 / torch.as_tensor(count, dtype=total.dtype, device=total.device))
        scaled = total if self.scaler is None else self.scaler.scale(total)
        with self.unrounded():
            scaled.backward(gradient=self._share[1], inputs=parameters)

    def unrounded(self) -> AbstractContextManager[Any]:
        """Outside autocast, where there is one."""
        return torch.autocast(self.device.type, enabled=False) if self._mixed else nullcontext()

    def record(self, turn: Turn, loss: Loss) -> dict[str, Tensor]:
        """Notes every term of the loss for the next row and returns the sums; what is observed, at the row's step."""
        sums = loss.sums()
        for name, value in sums.items():
            self.logged.add(f"train/{turn.player}/{name}", value.detach(), loss.count, self.step + 1)
        for name, value in loss.observed.items() if self.watched else ():
            whole = value.sum() if value.dim() else value * loss.count
            self.logged.add(f"train/{turn.player}/{name}", whole, loss.count, self.step + 1)
        return sums

    def update(self, turn: Turn, window: GradientWindow) -> bool:
        """One optimizer step with the window's gradient; whether it was taken."""
        norm = self.gather(turn, window)
        if norm is not None:
            self.record_norm(turn.player, norm)
        window.empty()
        taken = self.take_step(turn.player, self._optimizer_of[turn.player])
        self.progress.updates[turn.player] += taken
        return taken

    def gather(self, turn: Turn, window: GradientWindow) -> Tensor | None:
        """Makes a step's gradient of the window's: sum over ranks, divide by the count, unscale, clip.

        The norm (0-d) before it was clipped, where it is clipped or watched.
        """
        parameters = self.parameters_of(turn.player)
        if window.count is not None:
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            shared = self.ranks > 1
            count = sum_over_ranks(gradients, window.count, self.shared_buffers()) if shared else window.count
            torch._foreach_div_(gradients, count)
        if self.scaler is not None:
            self.refuse_second_step(turn.player)
            self.scaler.unscale_(self._optimizer_of[turn.player])
        if turn.clip is None and not self.watched:
            return None
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if turn.clip is not None:
            nn.utils.clip_grads_with_norm_(parameters, turn.clip, norm)
        return norm

    def take_step(self, player: str, optimizer: Optimizer) -> bool:
        """Steps the optimizer; one under a scaler that met an overflow does not, and then no update is counted."""
        if self.scaler is None:
            optimizer.step()
            return True
        self._scaled.add(player)
        taken: list[bool] = []
        hook = optimizer.register_step_post_hook(lambda *_: taken.append(not overflown(optimizer)))
        self.scaler.step(optimizer)
        hook.remove()
        return any(taken)

    def refuse_second_step(self, player: str) -> None:
        if player in self._scaled:
            raise UserError(
                f"trainer.precision=16-mixed, and {player} steps twice on one batch",
                "bf16-mixed, 32",
                "use trainer.precision=bf16-mixed: one loss scale serves one step of each player and batch",
            )

    def record_norm(self, player: str, norm: Tensor) -> None:
        """Notes a gradient's norm; under a scaler an overflow is no error, and stays out of the mean."""
        counted: int | Tensor = 1
        if self.scaler is not None:
            counted = norm.isfinite().float()
            norm = norm.where(norm.isfinite(), norm.new_zeros(()))
        self.logged.add(f"train/{player}/gradient_norm", norm.detach(), counted, self.step + 1)

    def average(self, turn: Turn, stepped: bool) -> None:
        """Takes the player's weights into their average, after the step and what `after_turn` made of it.

        Steps that only regularise are between two averages: StyleGAN2 averages once per batch.
        """
        if stepped and turn.player in self.averages and turn.objective not in self.lazy_objectives:
            average = self.averages[turn.player]
            assert isinstance(average, MovingAverage)
            average.update(self.players[turn.player], self.progress.updates[turn.player])

    def on_validation_epoch_end(self) -> None:
        """Collects the values, and ticks the schedules that follow one of them."""
        super().on_validation_epoch_end()
        for scheduler in self.schedulers.values():
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self.measured[f"validate/{self.owner}/{self.monitor}"])

    def shared_buffers(self) -> list[Tensor]:
        """Floating-point buffers of the players, which the ranks average with every reduced gradient."""
        found = {id(b): b for player in self.players.values() for b in player.buffers() if b.is_floating_point()}
        return list(found.values())


def overflown(optimizer: Optimizer) -> bool:
    """Whether a scaler has told a fused optimizer, which looks for itself, that its gradients are not finite."""
    found: Tensor | None = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)
