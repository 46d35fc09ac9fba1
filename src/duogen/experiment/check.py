"""What a run would be, without starting it: built on the meta device, its parameters and operations counted."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from duogen.experiment import assemble
from duogen.experiment.key import run_key
from duogen.experiment.resolve import resolve
from duogen.modules.alternating import AlternatingModule
from duogen.records import Examples


def check(config: Mapping[str, Any], choices: Mapping[str, Any], allow: Sequence[str]) -> int:
    """Prints each player's parameters and the operations of each turn, and the run's key; starts nothing."""
    resolved = resolve(config, f"{choices.get('model')}-{choices.get('data')}", allow)
    with torch.device("meta"):
        module = assemble.module(resolved, allow)
    assemble.teach(module, resolved, allow)
    module.to("meta")
    shown = Table(title=f"{resolved['name']}, {resolved['trainer']['max_steps']} steps", title_justify="left")
    for header in ("player", "parameters", "objective", "FLOPs per act and example"):
        shown.add_column(header, justify="left" if header in ("player", "objective") else "right")
    for name, turn in module.turns.turns.items():
        parameters = sum(p.numel() for p in module.parameters_of(turn.player))
        flops = turn_flops(module, name, resolved["data"]["shape"])
        shown.add_row(turn.player, f"{parameters:,}", turn.objective or turn.player, f"{flops:,}")
    console = Console(soft_wrap=True, highlight=False)
    console.print(shown)
    console.print(f"key {run_key(resolved)}; nothing was started.")
    return 0


def turn_flops(module: AlternatingModule, name: str, shape: Sequence[int], count: int = 8) -> int:
    """Floating-point operations of one act's forward and backward pass, per example, as torch counts them."""
    turn = module.turns.turns[name]
    batch = Examples(torch.zeros(count, *shape, device="meta"), torch.zeros(count, dtype=torch.int64, device="meta"))
    with FlopCounterMode(display=False) as counter:
        loss = module.objectives[turn.objective or turn.player](batch)
        loss.weighted(loss.sums()).backward(inputs=module.parameters_of(turn.player))
    for parameter in module.parameters_of(turn.player):
        parameter.grad = None
    return counter.get_total_flops() // count
