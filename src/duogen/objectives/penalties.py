"""What a regulariser is, and those that keep a discriminator smooth by its gradient D'(x) at the example x.

A slope penalty treats real and fake as raw examples, so that its gradient reaches the discriminator's parameters alone.
It needs a discriminator that can be differentiated twice, and whose logits each depend on one example only.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.ramp import Ramp
from duogen.records import Opinion

Critic = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Play:
    """What a regulariser sees of a turn: the raw examples, how they were judged, and how more can be had.

    M = N / m judgements of N examples, m the number of examples that the discriminator sees together, so that its
    `shape` is (m C, H, W) or (m D,). Classes, where there are any, are those of the batch, example by example.

    Args:
        real, fake: (M, *shape); in the generator's turn `fake` carries its graph.
        noise: (N, Z), from which `fake` was made.
        labels: (N,) classes that both players are told, or None.
        judge: (M, *shape) to what the discriminator says, through the augmentation.
        critic: (M, *shape) to logits (M,), through the augmentation, by the eager network.
        features: (M, *shape) to features (M, F), through the augmentation, by the eager network.
        generate: noise (N, Z) to (M, *shape).
        styles: noise (N, Z) to what the generator renders, (N, S); the noise itself where it has no mapping.
        render: styles (N, S) to (M, *shape).
        real_output, fake_output: what the discriminator said of them, (M,) or (M, 1 + K); None where it was not asked.
        real_logits, fake_logits: (M,) as the adversarial loss gets them; None where the turn did not need them.
        step: that of the run, from 0.
    """

    real: Tensor
    fake: Tensor
    noise: Tensor
    labels: Tensor | None
    judge: Critic
    critic: Critic
    features: Critic
    generate: Callable[[Tensor], Tensor]
    styles: Callable[[Tensor], Tensor]
    render: Callable[[Tensor], Tensor]
    real_output: Tensor | None = None
    fake_output: Tensor | None = None
    real_logits: Tensor | None = None
    fake_logits: Tensor | None = None
    step: int = 0

    @property
    def logits(self) -> tuple[Tensor, Tensor]:
        """Those (M,) of real and of generated examples, judged here where the turn has not needed them."""
        real = self.critic(self.real) if self.real_logits is None else self.real_logits
        fake = self.critic(self.fake) if self.fake_logits is None else self.fake_logits
        return real, fake


@dataclass(frozen=True)
class Watched:
    """A term (M,) or 0-d, and a value (M,) or 0-d beside it, recorded and never minimised, that buffers follow."""

    term: Tensor
    value: Tensor


class Penalty(nn.Module, ABC):
    """Terms of the discriminator's loss, of the generator's, or of both, that enter `weight` times.

    `weight` is 0 or more, constant or a function of the step. A penalty that differentiates `twice` is taken in float32
    outside autocast, and has a lazy turn where the schedule gives it one. One that `reacts` has registered buffers,
    which change after a turn alone: by `react` from the discriminator's opinion, by `follow` from what a term watched.
    Raises `UserError` for a constant weight that is negative or not finite.
    """

    twice: ClassVar[bool] = False
    reacts: ClassVar[bool] = False

    def __init__(self, weight: float | Ramp) -> None:
        super().__init__()
        self.weight = checked(type(self).__name__, "weight", weight)

    def discriminator(self, play: Play) -> Tensor | Watched | None:
        """The unweighted term (M,) or 0-d of the discriminator's loss; None where there is none."""
        return None

    def generator(self, play: Play) -> Tensor | Watched | None:
        """The unweighted term (M,) or 0-d of the generator's loss; None where there is none."""
        return None

    @property
    def generator_weight(self) -> float | Ramp:
        """The weight of the generator's term, where it differs from the discriminator's."""
        return self.weight

    def react(self, opinion: Opinion) -> None:
        """Updates the buffers after one of the discriminator's turns."""

    def follow(self, mean: Tensor) -> None:
        """Updates the buffers after a turn from the mean (0-d), over all ranks, of what its term watched."""


def checked(name: str, argument: str, weight: float | Ramp) -> float | Ramp:
    """The weight, or a refusal of one that is negative or not finite."""
    if not isinstance(weight, Ramp) and not 0 <= weight < math.inf:
        given, allowed = f"{name}: {argument}={weight}", "a finite number, 0 or more, or a ramp where it is a weight"
        raise UserError(given, allowed, f"set {argument} to 0 or more, or leave the penalty out")
    return weight


class SlopePenalty(Penalty):
    """A penalty on the discriminator's gradient with respect to raw examples, which may be lazy."""

    twice: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The unweighted penalty (M,), from a critic of (M, *shape) to logits (M,), and real and fake (M, *shape)."""

    def discriminator(self, play: Play) -> Tensor:
        return self(play.critic, play.real, play.fake)


class GradientPenalty(SlopePenalty):
    """Holds the gradient's norm at 1 on the straight lines between real and generated examples.

    (||D'(y)||_2 - 1)^2,  y = e x + (1 - e) G(z),  one e ~ U[0, 1) per example. Weight: the paper's lambda, 10.
    At D'(y) = 0, where the norm has no derivative, the penalty's gradient is 0.
    Source: Gulrajani et al. 2017, eq. 3 and algorithm 1.
    """

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
        slope = _slope(critic, torch.lerp(fake, real, share))
        return (torch.linalg.vector_norm(slope, dim=1) - 1).square()


class R1(SlopePenalty):
    """Flattens the discriminator on real examples.

    ||D'(x)||_2^2 / 2, summed over pixels. Weight: the paper's gamma, 10.
    Source: Mescheder et al. 2018, eq. 9.
    """

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return _slope(critic, real).square().sum(1) / 2


class R2(SlopePenalty):
    """Flattens the discriminator on generated examples.

    ||D'(G(z))||_2^2 / 2, summed over pixels. Weight: the paper's gamma, 10.
    Source: Mescheder et al. 2018, eq. 10.
    """

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return _slope(critic, fake).square().sum(1) / 2


class Dragan(SlopePenalty):
    """Holds the gradient's norm at 1 around real examples.

    (||D'(y)||_2 - 1)^2,  y = x + e c s u,  e ~ U[0, 1) one per example, u ~ U[0, 1) one per value, s the standard
    deviation of all values of the batch, c = `noise` >= 0. Weight: the paper's lambda, 10; c is 0.5 in its code.
    Raises `UserError` for a noise that is negative or not finite.
    Source: Kodali et al. 2017, eq. 4, with the uniform perturbations of the authors' code.
    """

    def __init__(self, weight: float | Ramp, noise: float) -> None:
        super().__init__(weight)
        checked("Dragan", "noise", noise)
        self.noise = noise

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
        slope = _slope(critic, real + share * self.noise * real.std(correction=0) * torch.rand_like(real))
        return (torch.linalg.vector_norm(slope, dim=1) - 1).square()


def _slope(critic: Critic, examples: Tensor) -> Tensor:
    examples = examples.detach().requires_grad_()
    # The sum of logits has each example's own gradient, since no logit depends on another example.
    (slope,) = torch.autograd.grad(critic(examples).sum(), examples, create_graph=True)
    return slope.flatten(1)
