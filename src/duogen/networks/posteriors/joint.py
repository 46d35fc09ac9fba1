"""Codes of two layers, one of which is drawn given the other."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from duogen.errors import UserError, require_at_least
from duogen.networks.dense import hidden

MEANT = 64


class Joint(Distribution):
    """p(a, b) = p(a) p(b | a), as a distribution over codes (Z,) in which the two layers lie side by side.

    A density is of the batch shape of `first`; `given` maps draws (..., A) to distributions of batch shape (...). The
    mean of b is that of E[b | a] over 64 draws of a, from the default generator.

    Args:
        first: p(a), event shape (A,).
        given: a to p(b | a), event shape (Z - A,).
        latent_dim: Z.
    """

    def __init__(self, first: Distribution, given: Callable[[Tensor], Distribution], latent_dim: int) -> None:
        super().__init__(first.batch_shape, torch.Size([latent_dim]), validate_args=False)
        self.first, self.given = first, given
        self.has_rsample = first.has_rsample

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @abstractmethod
    def joined(self, a: Tensor, b: Tensor) -> Tensor:
        """The layers (..., A) and (..., Z - A) as codes (..., Z)."""

    @abstractmethod
    def apart(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """a and b of codes (..., Z)."""

    @property
    def mean(self) -> Tensor:
        given = self.given(self.first.sample((MEANT,)))
        return self.joined(self.first.mean, given.mean.mean(0))

    def rsample(self, sample_shape: Size | Sequence[int] = ()) -> Tensor:
        a = self.first.rsample(torch.Size(sample_shape))
        return self.joined(a, self.given(a).rsample())

    def log_prob(self, value: Tensor) -> Tensor:
        a, b = self.apart(value)
        return self.first.log_prob(a) + self.given(a).log_prob(b)


class Upward(Joint):
    """The lower layer is drawn first; it stands first in the code."""

    def joined(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b], -1)

    def apart(self, code: Tensor) -> tuple[Tensor, Tensor]:
        return cast("tuple[Tensor, Tensor]", code.tensor_split((self.first.event_shape[0],), -1))


class Downward(Joint):
    """The upper layer is drawn first; it stands last in the code."""

    def joined(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([b, a], -1)

    def apart(self, code: Tensor) -> tuple[Tensor, Tensor]:
        b, a = code.tensor_split((self.event_shape[0] - self.first.event_shape[0],), -1)
        return a, b


def between(inputs: int, outputs: int, width: int, depth: int, activation: nn.Module) -> nn.Sequential:
    """(..., inputs) through `depth` hidden layers of `width` units to means and log-variances (..., 2 outputs).

    Raises `UserError` for a width below 1 and a negative depth.
    """
    require_at_least(1, "layers between codes", width=width)
    require_at_least(0, "layers between codes", depth=depth)
    sizes = [inputs, *[width] * depth]
    return hidden(sizes, activation).append(nn.Linear(sizes[-1], 2 * outputs))


def top_of(latent_dim: int, bottom_dim: int) -> int:
    """How many of Z dimensions are the upper layer's. Raises `UserError` where a layer has none."""
    if not 0 < bottom_dim < latent_dim:
        given = f"two layers: bottom_dim={bottom_dim} of latent_dim={latent_dim}"
        remedy = "e.g. bottom_dim=100 and latent_dim=150, or one layer: posterior=gaussian prior=standard"
        raise UserError(given, "a bottom of at least 1 and fewer than latent_dim", remedy)
    return latent_dim - bottom_dim
