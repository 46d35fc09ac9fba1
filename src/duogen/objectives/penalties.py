"""What keeps a discriminator smooth: penalties on its gradient D'(x) with respect to the example x.

A penalty treats real and fake as raw examples, so that its gradient reaches the discriminator's parameters alone.
It needs a discriminator that can be differentiated twice, and whose logits each depend on one example only.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.objectives.ramp import Ramp

Critic = Callable[[Tensor], Tensor]


class Penalty(ABC):
    """A term of the discriminator's loss that enters `weight` times, 0 or more, constant or a function of the step.

    Raises `UserError` for a constant weight that is negative or not finite.
    """

    def __init__(self, weight: float | Ramp) -> None:
        if not isinstance(weight, Ramp) and not 0 <= weight < math.inf:
            given, allowed = f"{type(self).__name__}: weight={weight}", "a finite number, 0 or more, or a ramp"
            raise UserError(given, allowed, "set weight to 0 or more, or leave the penalty out")
        self.weight = weight

    @abstractmethod
    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The unweighted penalty (N,), from a critic of (N, *shape) to logits (N,), and real and fake (N, *shape)."""


class GradientPenalty(Penalty):
    """Holds the gradient's norm at 1 on the straight lines between real and generated examples.

    (||D'(y)||_2 - 1)^2,  y = e x + (1 - e) G(z),  one e ~ U[0, 1) per example. Weight: the paper's lambda, 10.
    At D'(y) = 0, where the norm has no derivative, the penalty's gradient is 0.
    Source: Gulrajani et al. 2017, eq. 3 and algorithm 1.
    """

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        share = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device)
        slope = _slope(critic, torch.lerp(fake, real, share))
        return (torch.linalg.vector_norm(slope, dim=1) - 1).square()


class R1(Penalty):
    """Flattens the discriminator on real examples.

    ||D'(x)||_2^2 / 2, summed over pixels. Weight: the paper's gamma, 10.
    Source: Mescheder et al. 2018, eq. 9.
    """

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return _slope(critic, real).square().sum(1) / 2


class R2(Penalty):
    """Flattens the discriminator on generated examples.

    ||D'(G(z))||_2^2 / 2, summed over pixels. Weight: the paper's gamma, 10.
    Source: Mescheder et al. 2018, eq. 10.
    """

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return _slope(critic, fake).square().sum(1) / 2


def _slope(critic: Critic, examples: Tensor) -> Tensor:
    examples = examples.detach().requires_grad_()
    # The sum of logits has each example's own gradient, since no logit depends on another example.
    (slope,) = torch.autograd.grad(critic(examples).sum(), examples, create_graph=True)
    return slope.flatten(1)
