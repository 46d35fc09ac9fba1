"""Annealed importance sampling with Hamiltonian transitions (Neal 2001)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

STEEPNESS = 4.0
AIM = 0.65
FIRST, RATE = 0.3, 0.2
JITTER = 0.2


@dataclass(frozen=True)
class Place:
    """Where chains stand: codes (C, N, Z), log s and the gain log t - log s there, (C, N), and the slopes of both."""

    codes: Tensor
    log_start: Tensor
    gain: Tensor
    slope_start: Tensor
    slope_gain: Tensor

    def log_density(self, beta: float) -> Tensor:
        """log f_b = log s + b (log t - log s), (C, N)."""
        return self.log_start + beta * self.gain

    def slope(self, beta: float) -> Tensor:
        """Its gradient, (C, N, Z)."""
        return self.slope_start + beta * self.slope_gain

    def where(self, taken: Tensor, other: "Place") -> "Place":
        """This place for the chains that are `taken` (C, N), the other for the rest."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Place(*(torch.where(taken if a.ndim == 2 else taken[..., None], a, b) for a, b in pairs))


@dataclass(frozen=True)
class Bridge:
    """f_b = s^(1 - b) t^b for each of N examples: from a distribution s, b = 0, to an unnormalised density t, b = 1.

    Args:
        draw: a number of chains C to codes (C, N, Z) of s.
        log_start: log s of codes, (C, N).
        gain: log t - log s of codes, (C, N), differentiable.
        scale: (N, Z), or one number for all: how far a step goes in each dimension, > 0.
        leaps: leapfrog steps of a transition, >= 1.
    """

    draw: Callable[[int], Tensor]
    log_start: Callable[[Tensor], Tensor]
    gain: Callable[[Tensor], Tensor]
    scale: Tensor | float
    leaps: int

    def visit(self, codes: Tensor) -> Place:
        """What is known of codes (C, N, Z)."""
        with torch.enable_grad():
            codes = codes.detach().requires_grad_()
            log_start, gain = self.log_start(codes), self.gain(codes)
            (slope_start,) = torch.autograd.grad(log_start.sum(), codes)
            (slope_gain,) = torch.autograd.grad(gain.sum(), codes)
        return Place(codes.detach(), log_start.detach(), gain.detach(), slope_start, slope_gain)

    def moved(self, place: Place, beta: float, size: Tensor) -> tuple[Place, Tensor]:
        """A Hamiltonian transition that leaves f_b as it is: where it leads by steps of `size` (N,), and A (C, N).

        A = min(1, f_b(z') exp(-|m'|^2 / 2) / (f_b(z) exp(-|m|^2 / 2))), m ~ N(0, I), is the probability with which a
        chain goes to z', 0 where that is not a number. Each chain's steps are up to a fifth longer or shorter, so that
        no trajectory closes on itself. Source: Neal 2011, sections 5.3.2 and 5.4.2.
        """
        before = torch.randn_like(place.codes)
        jitter = 1 + JITTER * (2 * torch.rand_like(place.codes[..., :1]) - 1)
        step = jitter * size[:, None] * self.scale
        end, momentum = place, before + step / 2 * place.slope(beta)
        for _ in range(self.leaps):
            end = self.visit(end.codes + step * momentum)
            momentum = momentum + step * end.slope(beta)
        momentum = momentum - step / 2 * end.slope(beta)
        kinetic = (before.square() - momentum.square()).sum(-1) / 2
        change = end.log_density(beta) - place.log_density(beta) + kinetic
        acceptance = change.nan_to_num(nan=-torch.inf).clamp(max=0).exp()
        return end.where(torch.rand_like(acceptance) < acceptance, place), acceptance


def schedule(count: int) -> list[float]:
    """b_0 = 0 to b_T = 1, T = `count` >= 1, dense at both ends: logistic(4 (2 t / T - 1)), moved and stretched.

    Source: Wu et al. 2017.
    """
    raw = (STEEPNESS * torch.linspace(-1, 1, count + 1, dtype=torch.float64)).sigmoid()
    return ((raw - raw[0]) / (raw[-1] - raw[0])).tolist()


def sizes(bridge: Bridge, betas: Sequence[float], chains: int) -> list[Tensor]:
    """Step sizes (N,) for each transition, b_1 to b_(T-1), that follow an acceptance of 0.65 of each example.

    They are those of chains that are thrown away, so that nothing in the chains that count depends on their own past.
    """
    place, found = bridge.visit(bridge.draw(chains)), list[Tensor]()
    log_size = place.codes.new_full((place.codes.shape[1],), FIRST).log()
    for beta in betas[1:-1]:
        found.append(log_size.exp())
        place, acceptance = bridge.moved(place, beta, found[-1])
        log_size = log_size + RATE * (acceptance.mean(0) - AIM)
    return found


def annealed(bridge: Bridge, betas: Sequence[float], steps: Sequence[Tensor], chains: int) -> tuple[Tensor, Tensor]:
    """Log weights (C, N) of chains from s to t, E w = the integral of t, and the mean acceptance (N,), on the CPU.

    log w = sum_t (b_t - b_(t-1)) (log t - log s)(z_(t-1)), z_t from z_(t-1) by a transition that leaves f_(b_t) as it
    is, with the step sizes `steps`. Where there is no transition, all count as accepted.
    Source: Neal 2001, section 2.
    """
    place = bridge.visit(bridge.draw(chains))
    weights, accepted = betas[1] * place.gain.cpu().double(), []
    for last, beta, following in zip(range(len(steps)), betas[1:], betas[2:], strict=False):
        place, acceptance = bridge.moved(place, beta, steps[last])
        weights = weights + (following - beta) * place.gain.cpu().double()
        accepted.append(acceptance.mean(0).cpu().double())
    return weights, torch.stack(accepted).mean(0) if accepted else torch.ones_like(weights[0])
