"""The state of a module's training beside its state dict, as tensors and plain containers, and how it is put back."""

from collections.abc import Mapping
from typing import Any

from lightning_fabric.utilities import move_data_to_device
from torch import Tensor

from duogen.modules.alternating import AlternatingModule, Progress

PLAIN = (int, float, bool, str, list, tuple, dict, type(None), Tensor)


def shared_state(module: AlternatingModule) -> dict[str, Any]:
    """What is equal on all ranks: optimizers, schedules, the loss scale, and what has been counted."""
    schedulers = {player: scheduler.state_dict() for player, scheduler in module.schedulers.items()}
    return {
        "optimizers": {player: module.optimizer_of(player).state_dict() for player in module.learners},
        "schedulers": {
            # Without functions and references to the run, which a checkpoint may not hold.
            player: {name: value for name, value in state.items() if isinstance(value, PLAIN)}
            for player, state in schedulers.items()
        },
        "scaler": None if module.scaler is None else module.scaler.state_dict(),
        "updates": dict(module.progress.updates),
        "extras": module.progress.extras,
    }


def load_shared_state(module: AlternatingModule, state: Mapping[str, Any]) -> None:
    for player in module.learners:
        module.optimizer_of(player).load_state_dict(state["optimizers"][player])
    for player, scheduler in module.schedulers.items():
        scheduler.load_state_dict(state["schedulers"][player])
    if module.scaler is not None:
        module.scaler.load_state_dict(state["scaler"])
    load_progress(module, state)


def load_progress(module: AlternatingModule, state: Mapping[str, Any]) -> None:
    """The counts alone: what a run that has no step left to take still reports."""
    module.progress = Progress(dict(state["updates"]), state["extras"])


def rank_state(module: AlternatingModule) -> dict[str, Any]:
    """What each rank has of its own, on the CPU: open windows, the unfinished row, statistics within a window."""
    state = {
        "turns": module.turns.state_dict(),
        "logged": module.logged.state_dict(),
        "buffers": module.shared_buffers() if module.ranks > 1 else [],
    }
    return move_data_to_device(state, "cpu")


def load_rank_state(module: AlternatingModule, state: Mapping[str, Any]) -> None:
    moved = move_data_to_device({name: state[name] for name in ("turns", "logged", "buffers")}, module.device)
    module.turns.load_state_dict(moved["turns"])
    module.logged.load_state_dict(moved["logged"])
    for buffer, saved in zip(module.shared_buffers() if module.ranks > 1 else [], moved["buffers"], strict=True):
        buffer.copy_(saved)
