"""The module that lets players take turns: everything about stepping, nothing about losses."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from duogen.metrics.measure import Measure
from duogen.modules.average import MovingAverage
from duogen.modules.ranks import sum_over_ranks, summed
from duogen.modules.turns import Turn, Turns
from duogen.modules.window import GradientWindow, LogWindow
from duogen.records import Batch, Loss
from duogen.seeds import derive


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


class AlternatingModule(LightningModule):
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
        self.measures: Mapping[str, Measure] = {}
        self.progress = Progress()
        self.seed = 0
        self.last_row: dict[str, float] = {}
        self.logged = LogWindow()
        self.schedulers: dict[str, LRScheduler] = {}
        self.step, self.ranks, self.rank = 0, 1, 0
        self.watched, self.stopping = False, False
        self.monitor: str | None = None
        self.measured: dict[str, float] = {}
        self._optimizer_of: dict[str, Optimizer] = {}
        self._parameters_of: dict[str, list[nn.Parameter]] = {}
        self._scaler: GradScaler | None = None
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
    def changing_buffers(self) -> Sequence[str]:
        """Prefixes of the buffers that a turn may change beside its own player's, by their state-dict names."""
        return ()

    def after_turn(self, turn: Turn, loss: Loss) -> None:
        """Called after each act and the step it led to: here feedback state, in registered buffers, is updated."""

    def due(self, turn: Turn) -> bool:
        """Whether the turn acts (again) on this batch: once where its schedule says so; a method may override it."""
        return self.turns.acted == 0 and turn.due(self.step)

    def agreed(self, value: Tensor) -> Tensor:
        """The mean of a 0-d value over the ranks: what feedback must follow, so that all ranks decide alike."""
        return summed(value.detach().clone()) / self.ranks

    def extra_batch(self) -> Any:
        """One more batch, from a second stream that is as resumable as the first."""
        if self._extra is None:
            datamodule: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
            self._extra = iter(datamodule.stream(self.progress.extras, purpose="extra"))
        self.progress.extras += 1
        return next(self._extra).to(self.device)

    def samples(self, count: int, generator: torch.Generator) -> Tensor:
        """New examples (count, *shape) from the evaluated networks; their randomness is `generator`'s, on the CPU."""
        raise NotImplementedError(f"{type(self).__name__} cannot be sampled")

    def measure(self, batch: Any, generator: torch.Generator) -> None:
        """Updates the measures with as many generated examples as the batch holds real ones."""
        generated = self.samples(batch.count, generator)
        for measure in self.measures.values():
            measure.update(generated, batch.values)

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
        self.ranks, self.rank = self.trainer.world_size, self.trainer.global_rank
        self._scaler = getattr(self.trainer.precision_plugin, "scaler", None)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Ends the run between two steps, after a validation that the last one owed, when a stop was asked for."""
        return -1 if self.stopping else None

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Hands the due turns to `Turns`, and counts the batch as one step whatever they did."""
        self.step = self.global_step
        before = sum(self.progress.updates.values())
        self.turns.play(self, batch)
        if self._scaler is not None and sum(self.progress.updates.values()) > before:
            self._scaler.update()
        for scheduler in self.schedulers.values():
            if not isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step()
        counter = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        counter.increment_ready()
        counter.increment_completed()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def scaled(self, total: Tensor) -> Tensor:
        return total if self._scaler is None else self._scaler.scale(total)

    def record(self, turn: Turn, loss: Loss) -> dict[str, Tensor]:
        """Notes every term of the loss for the next row and returns the sums."""
        sums = loss.sums()
        for name, value in sums.items():
            self.logged.add(f"train/{turn.player}/{name}", value.detach(), loss.count, self.step + 1)
        return sums

    def update(self, name: str, turn: Turn, window: GradientWindow) -> None:
        """One optimizer step: sum over ranks, divide by the count, unscale, clip, step, average the weights."""
        parameters, optimizer = self.parameters_of(turn.player), self._optimizer_of[turn.player]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if window.count is not None:
            count = window.count
            if self.ranks > 1:
                count = sum_over_ranks(gradients, window.count, self.shared_buffers())
            torch._foreach_div_(gradients, count)
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)
        if turn.clip is not None or self.watched:
            norm = nn.utils.get_total_norm(gradients)
            if turn.clip is not None:
                nn.utils.clip_grads_with_norm_(parameters, turn.clip, norm)
            self.logged.add(f"train/{turn.player}/gradient_norm", norm.detach(), 1, self.step + 1)
        if self._scaler is not None:
            self._scaler.step(optimizer)
        else:
            optimizer.step()
        window.clear(parameters)
        self.progress.updates[turn.player] += 1
        if turn.player in self.averages:
            average = self.averages[turn.player]
            assert isinstance(average, MovingAverage)
            average.update(self.players[turn.player], self.progress.updates[turn.player])

    def evaluate_with(self, measures: Mapping[str, Measure], seed: int) -> None:
        self.measures, self.seed = measures, seed

    def on_validation_epoch_start(self) -> None:
        for measure in self.measures.values():
            measure.to(self.device).reset()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measures this rank's share of the batches; noise belongs to the batch, so the ranks do not change a value."""
        if batch_idx % self.trainer.world_size == self.trainer.global_rank:
            purpose = ("validate", self.global_step) if self.trainer.state.fn == "fit" else ("test",)
            self.measure(batch, torch.Generator().manual_seed(derive(self.seed, *purpose, batch_idx)))

    def on_validation_epoch_end(self) -> None:
        """Collects the values under `<split>/<module>/<value>`, and ticks the plateau schedules."""
        split = "validate" if self.trainer.state.fn == "fit" else "test"
        owner = type(self).__name__.lower()
        self.measured = {
            f"{split}/{owner}/{name}": float(value)
            for measure in self.measures.values()
            for name, value in measure.compute().items()
        }
        for scheduler in self.schedulers.values():
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self.measured[f"{split}/{owner}/{self.monitor}"])

    on_test_epoch_start, test_step, on_test_epoch_end = (
        on_validation_epoch_start,
        validation_step,
        on_validation_epoch_end,
    )

    def shared_buffers(self) -> list[Tensor]:
        """Floating-point buffers of the players, which the ranks average with every reduced gradient."""
        found = {id(b): b for player in self.players.values() for b in player.buffers() if b.is_floating_point()}
        return list(found.values())

    def shared_state(self) -> dict[str, Any]:
        """What is equal on all ranks, beside the state dict: plain containers and tensors."""
        return {
            "optimizers": {player: optimizer.state_dict() for player, optimizer in self._optimizer_of.items()},
            "schedulers": {player: plain(scheduler.state_dict()) for player, scheduler in self.schedulers.items()},
            "scaler": None if self._scaler is None else self._scaler.state_dict(),
            "updates": dict(self.progress.updates),
            "extras": self.progress.extras,
        }

    def load_shared_state(self, state: Mapping[str, Any]) -> None:
        for player, optimizer in self._optimizer_of.items():
            optimizer.load_state_dict(state["optimizers"][player])
        for player, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state["schedulers"][player])
        if self._scaler is not None:
            self._scaler.load_state_dict(state["scaler"])
        self.load_progress(state)

    def load_progress(self, state: Mapping[str, Any]) -> None:
        self.progress = Progress(dict(state["updates"]), state["extras"])

    def rank_state(self) -> dict[str, Any]:
        """What each rank has of its own: open windows, the unfinished row, and running statistics within a window."""
        return {
            "turns": self.turns.state_dict(),
            "logged": self.logged.state_dict(),
            "buffers": self.shared_buffers() if self.ranks > 1 else [],
        }

    def load_rank_state(self, state: Mapping[str, Any]) -> None:
        state = move_data_to_device({name: state[name] for name in ("turns", "logged", "buffers")}, self.device)
        self.turns.load_state_dict(state["turns"])
        self.logged.load_state_dict(state["logged"])
        for buffer, saved in zip(self.shared_buffers() if self.ranks > 1 else [], state["buffers"], strict=True):
            buffer.copy_(saved)


def plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's state without what a checkpoint may not hold: functions, and references to the run."""
    allowed = (int, float, bool, str, list, tuple, dict, type(None), Tensor)
    return {name: value for name, value in state.items() if isinstance(value, allowed)}
