"""What every objective of a variational autoencoder offers."""

import math
from abc import ABC, abstractmethod

from torch import nn

from duogen.errors import UserError
from duogen.objectives.variational.evidence import Evidence
from duogen.ramp import Ramp
from duogen.records import Loss


class Variational(nn.Module, ABC):
    """What a variational autoencoder minimises, in nats, from `draws` codes of each example.

    `forward` is the loss of encoder, prior and decoder together; an objective that is `split` gives the two sides
    different gradients, and then each side minimises its own. One that differentiates `twice` needs a decoder that can
    be, in float32 and with attention as plain mathematics.
    """

    draws: int = 1
    split: bool = False
    twice: bool = False

    @abstractmethod
    def forward(self, evidence: Evidence) -> Loss:
        """The loss of all parts together, its terms by name, (N,) each, or 0-d for what belongs to the batch."""

    def encoder(self, evidence: Evidence) -> Loss:
        """What the posterior minimises where it has a turn of its own."""
        return self(evidence)

    def decoder(self, evidence: Evidence) -> Loss:
        """What decoder and prior minimise where they have a turn of their own."""
        return self(evidence)


class Split(Variational):
    """An objective with two losses: one that encoder and decoder share does not exist, and `forward` refuses."""

    split = True

    def forward(self, evidence: Evidence) -> Loss:
        given = f"{type(self).__name__}, which gives encoder and decoder different gradients, as one loss of both"
        raise UserError(given, "a model in which each has a turn of its own", "use model=split_vae")

    @abstractmethod
    def encoder(self, evidence: Evidence) -> Loss:
        """What the posterior minimises."""

    @abstractmethod
    def decoder(self, evidence: Evidence) -> Loss:
        """What decoder and prior minimise."""


def require_at_least(least: int, objective: Variational, **sizes: int) -> None:
    """Raises `UserError` for the first named number of an objective that is below `least`."""
    for name, size in sizes.items():
        if size < least:
            given, allowed = f"{type(objective).__name__}: {name}={size}", f"whole numbers of at least {least}"
            raise UserError(given, allowed, f"set {name} to {least} or more")


def require_weights(objective: Variational, **weights: float | Ramp) -> None:
    """Raises `UserError` for the first named weight of an objective that is constant and negative or not finite."""
    for name, weight in weights.items():
        if not isinstance(weight, Ramp) and not 0 <= weight < math.inf:
            given, allowed = f"{type(objective).__name__}: {name}={weight}", "a finite number, 0 or more, or a ramp"
            raise UserError(given, allowed, f"set {name} to 0 or more")
