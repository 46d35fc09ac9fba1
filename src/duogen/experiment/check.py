"""What a run would be, without starting it: built on the meta device, its parameters and operations counted."""

from collections.abc import Mapping, Sequence
from itertools import product, repeat
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.experiment.crew import world_size
from duogen.experiment.key import run_key
from duogen.experiment.resolve import resolve
from duogen.modules.alternating import AlternatingModule
from duogen.records import Examples


def check(config: Mapping[str, Any], choices: Mapping[str, Any], allow: Sequence[str]) -> int:
    """Prints each player's parameters and the operations of each turn, and the run's key; starts nothing."""
    resolved = resolve(config, f"{choices.get('model')}-{choices.get('data')}", allow)
    module = imagined(resolved, allow)
    shown = Table(title=f"{resolved['name']}, {resolved['trainer']['max_steps']} steps", title_justify="left")
    for header in ("player", "parameters", "objective", "FLOPs per act and example"):
        shown.add_column(header, justify="left" if header in ("player", "objective") else "right")
    for name, turn in module.turns.turns.items():
        parameters = sum(p.numel() for p in module.parameters_of(turn.player))
        flops = turn_flops(module, name, resolved["data"]["shape"], max(batches(resolved)))
        operations = "unknown" if flops is None else f"{flops:,}"
        shown.add_row(turn.player, f"{parameters:,}", turn.objective or turn.player, operations)
    console = Console(soft_wrap=True, highlight=False)
    console.print(shown)
    console.print(f"key {run_key(resolved)}; nothing was started.")
    return 0


class Operations(TorchDispatchMode):
    """Sums the operations of all that runs below it, by torch's own formulas; nested gradients too."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def imagined(config: Mapping[str, Any], allow: Sequence[str]) -> AlternatingModule:
    """The module of a resolved config with its players' optimizers, on the meta device, where nothing costs memory.

    Raises:
        UserError: a part refuses its settings, or a schedule follows a value and `monitor` names none.
    """
    with torch.device("meta"):
        module = assemble.module(config, allow)
    assemble.teach(module, dict(config) | {"compile": False}, allow)
    module.to("meta").configure_optimizers()
    return module


def rehearse(config: Mapping[str, Any], allow: Sequence[str]) -> None:
    """Plays every turn's objective on the meta device, so that a run which cannot work is refused, not begun.

    Batches are as large as those of the run's ranks.

    Raises:
        UserError: as `imagined`, and where networks do not fit each other or the data.
    """
    module = imagined(config, allow)
    for name, count in product(module.turns.turns, batches(config)):
        turn_flops(module, name, config["data"]["shape"], count)


def batches(config: Mapping[str, Any]) -> set[int]:
    """How many examples a batch has: on the first ranks and, where it does not divide among them, on the others."""
    size, ranks = config["data"]["batch_size"], world_size(config["trainer"])
    return {size // ranks, -(-size // ranks)}


def turn_flops(module: AlternatingModule, name: str, shape: Sequence[int], count: int = 24) -> int | None:
    """Floating-point operations of one act's forward and backward pass, per example, as torch counts them.

    None where a network of the user's own looks at values, which the meta device has not.

    Raises:
        UserError: the networks do not fit each other or the data.
    """
    turn = module.turns.turns[name]
    batch = Examples(torch.zeros(count, *shape, device="meta"), torch.zeros(count, dtype=torch.int64, device="meta"))
    module._extra = repeat(batch)
    try:
        with Operations() as counter:
            loss = module.objectives[turn.objective or turn.player](batch)
            loss.weighted(loss.sums()).backward(inputs=module.parameters_of(turn.player))
    except RuntimeError as error:
        if isinstance(error, NotImplementedError) or "meta" in str(error).lower():
            return None
        raise UserError(
            f"turns.{name} cannot be played on examples of shape {list(shape)}: {error}",
            "networks that fit each other and the data",
            "take sizes by interpolation, such as ${data.shape} and ${latent_dim}, or give them once, at the top",
        ) from error
    except UserError:
        raise
    except ValueError as error:
        raise UserError(
            f"turns.{name} cannot be played on batches of {count} example(s): {error}",
            "batches and networks that fit each other",
            "give a greater data.batch_size, which ranks share",
        ) from error
    for parameter in module.parameters_of(turn.player):
        parameter.grad = None
    return counter.total // count
