"""From a composed config to one that says all that a run depends on: device, ranks, steps, the data's own facts."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from duogen.errors import UserError
from duogen.experiment.build import build, check
from duogen.modules.turns import Turns


def resolve(config: Mapping[str, Any], name: str, allow: Sequence[str]) -> dict[str, Any]:
    """The config with its open ends closed; nothing is written and no network is built.

    Raises:
        UserError: no such device, a budget without a limit, or turns that leave a batch without a player.
    """
    check(config, allow)
    turns = build(config["turns"], allow)
    data = dict(config["data"]) | dict(build(config["data"], allow).facts())
    resolved = dict(config) | {"name": config["name"] or name, "data": data, "trainer": device(config["trainer"])}
    resolved["trainer"]["max_steps"] = steps = max_steps(resolved, turns, allow)
    gap = turns.gaps(steps)
    if gap is not None:
        raise UserError(
            f"no turn is due at step {gap} of {steps}",
            "at least one turn on every batch",
            "let one turn act every 1, or change start and until under turns",
        )
    return resolved


def device(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's node with `accelerator` cpu or cuda, and `devices` a number."""
    accelerator, devices = trainer["accelerator"], trainer["devices"]
    gpus = torch.cuda.device_count()
    if accelerator in ("gpu", "cuda") and gpus == 0:
        raise UserError("trainer.accelerator=gpu", "cpu: no GPU is visible here", "use trainer=cpu or trainer=ddp_cpu")
    if accelerator not in ("auto", "cpu", "gpu", "cuda"):
        raise UserError(f"trainer.accelerator={accelerator}", "auto, cpu, gpu", "use trainer=auto")
    kind = "cuda" if accelerator in ("gpu", "cuda") or (accelerator == "auto" and gpus) else "cpu"
    devices = (gpus if kind == "cuda" else 1) if devices == "auto" else devices
    if not isinstance(devices, int) or devices < 1 or (kind == "cuda" and devices > gpus):
        available = f"1 to {gpus}, the visible GPUs" if kind == "cuda" else "a number of processes, 1 or more"
        raise UserError(f"trainer.devices={devices}", available, "change trainer.devices")
    if str(trainer["precision"]) not in ("32", "bf16-mixed", "16-mixed"):
        raise UserError(
            f"trainer.precision={trainer['precision']}", "32, bf16-mixed, 16-mixed", "use trainer.precision=32"
        )
    return dict(trainer) | {"accelerator": kind, "devices": devices, "precision": str(trainer["precision"])}


def max_steps(config: Mapping[str, Any], turns: Turns, allow: Sequence[str]) -> int:
    """The smallest number of steps at which a limit of the budget is reached."""
    budget, batch_size = config["budget"], config["data"]["batch_size"]
    limits = [config["trainer"]["max_steps"]]
    if budget.get("samples") is not None:
        limits.append(-(-budget["samples"] // batch_size))
    if budget.get("epochs") is not None:
        limits.append(budget["epochs"] * build(config["data"], allow).batches_per_epoch)
    for player, updates in budget.get("updates", {}).items():
        if updates is not None:
            limits.append(steps_for(turns, player, updates))
    given = [limit for limit in limits if limit is not None]
    if not given or not all(isinstance(limit, int) and limit > 0 for limit in given):
        raise UserError(
            f"the budget's limits are {given}", "whole numbers, 1 or more, at least one", "give budget.steps=N"
        )
    return min(given)


def steps_for(turns: Turns, player: str, updates: int) -> int:
    """The smallest number of steps after which `player` has been updated `updates` times."""
    high = 1
    while turns.updates(high).get(player, 0) < updates:
        high *= 2
        if high > 2**40:
            raise UserError(
                f"budget.updates.{player}={updates}",
                f"at most {turns.updates(high).get(player, 0)}, which its turns allow",
                "change budget.updates or the turns' start and until",
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if turns.updates(middle).get(player, 0) < updates else (low, middle)
    return high
