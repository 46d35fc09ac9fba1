"""Optimizers made for games."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer


class OptimisticAdam(Adam):
    """Adam that expects the next gradient to be like this one, and so does not circle an equilibrium.

    w_t = w_{t-1} + 2 u_t - u_{t-1},  u_t = -lr m_t / (sqrt(v_t) + eps), with Adam's bias-corrected moments m_t and v_t,
    and u_0 = 0. The update of the step before is part of the state.
    Source: Daskalakis et al. 2018, algorithm 1.

    Args:
        params: what is optimised.
        lr: 0 or more.
        betas: decay of the first and the second moment, each in [0, 1).
        eps: 0 or more.
        weight_decay: of the L2 penalty that joins the gradient, 0 or more.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        # Not in `step`: torch wraps that of Adam too, whose hooks would run twice.
        self.register_step_post_hook(correct)


@torch.no_grad()
def correct(optimizer: Optimizer, arguments: Any, options: Any) -> None:
    """From w + u_t, where Adam's step has led, to w + 2 u_t - u_{t-1}."""
    for group in optimizer.param_groups:
        moved: list[Tensor] = [p for p in group["params"] if p.grad is not None]
        if not moved:
            continue
        states = [optimizer.state[p] for p in moved]
        updates = adam_updates(states, group["lr"], group["betas"], group["eps"])
        torch._foreach_add_(moved, updates)
        before = [(p, state["previous"]) for p, state in zip(moved, states, strict=True) if "previous" in state]
        if before:
            torch._foreach_sub_([p for p, _ in before], [previous for _, previous in before])
        for state, update in zip(states, updates, strict=True):
            state["previous"] = update


def adam_updates(
    states: list[dict[str, Tensor]], lr: float, betas: tuple[float, float], eps: float
) -> tuple[Tensor, ...]:
    """u_t of each parameter, of its shape, from Adam's state after the step."""
    steps = [float(state["step"]) for state in states]
    roots = torch._foreach_sqrt([state["exp_avg_sq"] for state in states])
    torch._foreach_div_(roots, [(1 - betas[1] ** step) ** 0.5 for step in steps])
    torch._foreach_add_(roots, eps)
    updates = torch._foreach_div([state["exp_avg"] for state in states], roots)
    torch._foreach_mul_(updates, [-lr / (1 - betas[0] ** step) for step in steps])
    return updates
