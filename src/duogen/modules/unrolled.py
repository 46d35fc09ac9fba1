"""Turns in which one player foresees how the other will answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from duogen.errors import UserError, nearest
from duogen.modules.turns import Alternate, Turn
from duogen.records import Batch, Loss

if TYPE_CHECKING:
    from duogen.modules.alternating import AlternatingModule


@dataclass(frozen=True)
class LookAhead:
    """How far and in which turn a player looks ahead.

    Args:
        unroll: K, how many steps of the follower are foreseen, >= 0; with 0 the turns are plain ones.
        unroll_lr: eta, the rate of these steps of plain gradient descent, > 0.
        leader: the turn that looks ahead.
        follower: the turn whose steps it foresees.

    Raises:
        UserError: a number is outside its range, or a turn is to foresee itself.
    """

    unroll: int
    unroll_lr: float
    leader: str
    follower: str

    def __post_init__(self) -> None:
        if self.unroll < 0 or not self.unroll_lr > 0 or self.leader == self.follower:
            allowed = "unroll >= 0, unroll_lr > 0, and leader and follower two turns"
            raise UserError(f"{self} is out of range", allowed, "change it under turns.ahead")


class Unrolled(Alternate):
    """The leader descends through K gradient steps that the follower would take next.

    phi_0 = phi,  phi_{k+1} = phi_k - eta dL_follower(theta, phi_k) / dphi_k,  and the leader steps along
    dL_leader(theta, phi_K(theta, phi)) / dtheta, the dependence of phi_K on theta included. The follower's own turn is
    as ever. The look-ahead sees the turn's batch, draws fresh noise at every step, and leaves parameters and buffers as
    they are; on several ranks each foresees what its own examples would lead to. Networks run eagerly in it.
    Source: Metz et al. 2017, eq. 7, 9 and 10.

    Raises:
        UserError: leader or follower is no turn, or, at the first batch, what the follower minimises does not depend
            on the leader.
    """

    def __init__(self, ahead: LookAhead, **turns: Turn) -> None:
        super().__init__(**turns)
        for role, name in (("leader", ahead.leader), ("follower", ahead.follower)):
            if name not in turns:
                raise UserError(f"turns.ahead.{role}={name}", ", ".join(nearest(name, turns)), "name one of the turns")
        self.ahead, self.checked = ahead, False

    @property
    def repeated(self) -> str | None:
        return self.turns[self.ahead.follower].player

    def loss(self, module: "AlternatingModule", name: str, batch: Batch) -> Loss:
        plain, ahead = super().loss, self.ahead
        if name != ahead.leader or ahead.unroll == 0:
            return plain(module, name, batch)
        networks = [module.players[self.turns[turn].player] for turn in (ahead.leader, ahead.follower)]
        with connected(*networks):
            answer = self.foresee(Objective(module, partial(plain, module, ahead.follower)), batch)
            return functional_call(Objective(module, partial(plain, module, name)), answer, (batch,))

    def foresee(self, objective: "Objective", batch: Batch) -> dict[str, Tensor]:
        """phi_K by the names of the objective's parameters, with its graph; the buffers that move are copies."""
        module = objective.module
        own = {id(p) for p in module.parameters_of(self.turns[self.ahead.follower].player)}
        answer: dict[str, Tensor] = {name: p for name, p in objective.named_parameters() if id(p) in own}
        buffers = {name: buffer.clone() for name, buffer in objective.named_buffers()}
        for _ in range(self.ahead.unroll):
            loss: Loss = functional_call(objective, answer | buffers, (batch,))
            total = self.weighed(module, self.ahead.follower, loss.weighted(loss.sums())) / loss.count
            with module.unrounded():
                self.check(module, total)
                slopes = torch.autograd.grad(total, list(answer.values()), create_graph=True, allow_unused=True)
            answer = {
                name: value if slope is None else value - self.ahead.unroll_lr * slope
                for (name, value), slope in zip(answer.items(), slopes, strict=True)
            }
        return answer

    def check(self, module: "AlternatingModule", total: Tensor) -> None:
        """Once, that what the follower minimises, `total` (0-d), depends on the leader's parameters."""
        if self.checked:
            return
        leader = module.parameters_of(self.turns[self.ahead.leader].player)
        slopes = torch.autograd.grad(total, leader, retain_graph=True, allow_unused=True)
        if all(slope is None for slope in slopes):
            given = f"turns.ahead: what {self.ahead.follower} minimises does not depend on {self.ahead.leader}"
            raise UserError(
                given, "a follower that sees what the leader makes", "choose other turns, or turns=alternate"
            )
        self.checked = True


class Objective(nn.Module):
    """A turn's objective as the forward of a module, so that the networks in it can be given other parameters."""

    def __init__(self, module: "AlternatingModule", evaluate: Callable[[Batch], Loss]) -> None:
        super().__init__()
        self.module, self.evaluate = module, evaluate

    def forward(self, batch: Batch) -> Loss:
        return self.evaluate(batch)


@contextmanager
def connected(*networks: nn.Module) -> Iterator[None]:
    """Keeps the graph through these networks, which run so that it can be differentiated twice.

    An objective that takes another player's part under `torch.no_grad` does so to save work; here that part is wanted,
    and so a forward of the networks turns gradients on again.
    """

    def turn_on(network: nn.Module, inputs: Any) -> None:
        torch.set_grad_enabled(True)

    hooks = [network.register_forward_pre_hook(turn_on) for network in networks]
    try:
        with torch.compiler.set_stance("force_eager"), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for hook in hooks:
            hook.remove()
