"""What every objective of a variational autoencoder offers."""

from abc import ABC, abstractmethod

from torch import nn

from duogen.errors import UserError
from duogen.objectives.variational.evidence import Evidence
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
