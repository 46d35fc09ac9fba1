"""What the two players of a GAN minimise, one class per published formulation.

D(x) below is the discriminator's raw output, a logit where the paper wants a probability: p(x) = sigmoid(D(x)). In
`EnergyBased` and `Began` it is an energy E(x) >= 0, an autoencoder's reconstruction error, low for real examples.
Every loss is per example; the mean over the batch is the caller's.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from duogen.errors import UserError
from duogen.records import Opinion


class Adversarial(nn.Module, ABC):
    """The two losses of a GAN, both minimised; a `paired` one compares fake with real, so both turns need `real`.

    Outputs are high for what looks real, or low where they are `energies`. One that `reacts` has registered buffers,
    which `react` updates after each of the discriminator's turns.
    """

    paired: ClassVar[bool] = False
    reacts: ClassVar[bool] = False
    energies: ClassVar[bool] = False

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss (N,) from its logits (N,) for real and (N,) for generated examples."""

    @abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The generator's loss (N,) from the logits (N,) of generated examples, and of real ones where `paired`."""

    def observe(self, real: Tensor, fake: Tensor) -> Mapping[str, Tensor]:
        """What is worth recording of a discriminator's turn, by name, 0-d, from its outputs (N,) for both kinds."""
        return {}

    def react(self, opinion: Opinion) -> None:
        """Updates the buffers after one of the discriminator's turns."""


def require_logits(owner: str, adversarial: Adversarial) -> None:
    """Raises `UserError` for a loss of energies with `owner`, a class, whose discriminator gives logits."""
    if adversarial.energies:
        given = f"{owner}: adversarial {type(adversarial).__name__}, whose discriminator gives energies"
        raise UserError(given, "losses of logits", "use adversarial=non_saturating")


class Minimax(Adversarial):
    """The original two-player game, whose generator saturates while the discriminator is sure.

    L_D = -log p(x) - log(1 - p(G(z))),  L_G = log(1 - p(G(z))).
    Source: Goodfellow et al. 2014, eq. 1.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real) + softplus(fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -softplus(fake)


class NonSaturating(Adversarial):
    """The same discriminator; the generator maximises log p(G(z)) for strong gradients early on.

    L_D = -log p(x) - log(1 - p(G(z))),  L_G = -log p(G(z)).
    Source: Goodfellow et al. 2014, section 3.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real) + softplus(fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return softplus(-fake)


class LeastSquares(Adversarial):
    """Regression of the output on labels: a = 0 for fake, b = 1 for real, and c = 1, which the generator wants.

    L_D = (D(x) - b)^2 / 2 + (D(G(z)) - a)^2 / 2,  L_G = (D(G(z)) - c)^2 / 2.
    Source: Mao et al. 2017, eq. 2, in its 0-1 coding.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return (real - 1).square() / 2 + fake.square() / 2

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return (fake - 1).square() / 2


class Wasserstein(Adversarial):
    """The critic estimates the earth mover's distance, provided that something else keeps it Lipschitz.

    L_D = D(G(z)) - D(x),  L_G = -D(G(z)).
    Source: Arjovsky et al. 2017, eq. 2 and 3.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake - real

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake


class Hinge(Adversarial):
    """The discriminator stops caring beyond a margin of 1; the generator never does.

    L_D = max(0, 1 - D(x)) + max(0, 1 + D(G(z))),  L_G = -D(G(z)).
    Source: Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real) + relu(1 + fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake


class Relativistic(Adversarial):
    """Each real example is to look more real than the generated one beside it, and the other way round.

    L_D = -log sigmoid(D(x) - D(G(z))),  L_G = -log sigmoid(D(G(z)) - D(x)).
    Source: Jolicoeur-Martineau 2018, section 4.1 (RSGAN); Huang et al. 2024, eq. 2, with f(t) = -log(1 + exp(-t)).
    """

    paired = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake - real)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return softplus(_needed(real) - fake)


class RelativisticAverage(Adversarial):
    """Each example is to look more, or less, real than the other kind does on average over the batch.

    r = D(x) - mean D(G(z)),  f = D(G(z)) - mean D(x),  L_D = -log sigmoid(r) - log(1 - sigmoid(f)),
    L_G = -log sigmoid(f) - log(1 - sigmoid(r)).
    Source: Jolicoeur-Martineau 2018, section 4.2, eq. 7 and 8 (RaSGAN).
    """

    paired = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake.mean() - real) + softplus(fake - real.mean())

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return self.discriminator(fake, _needed(real))


class EnergyBased(Adversarial):
    """The discriminator lowers the energy of real examples and raises that of generated ones up to a margin m > 0.

    L_D = E(x) + max(0, m - E(G(z))),  L_G = E(G(z)). The margin is in the unit of the energy.
    Raises `UserError` for a margin that is not positive and finite.
    Source: Zhao et al. 2017, eq. 1 and 2.
    """

    energies = True

    def __init__(self, margin: float) -> None:
        super().__init__()
        if not 0 < margin < math.inf:
            raise UserError(f"EnergyBased: margin={margin}", "a finite energy above 0", "e.g. adversarial.margin=10")
        self.margin = margin

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real + relu(self.margin - fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return fake


class Began(Adversarial):
    """The discriminator separates the energies of the two kinds only as far as a balance k allows, which follows them.

    L_D = E(x) - k E(G(z)),  L_G = E(G(z)),  k <- clip(k + gain (gamma E(x) - E(G(z))), 0, 1) from k = 0 after each of
    the discriminator's turns, E there the means of the turn. `gamma` in [0, 1] is the wanted ratio of the energies, low
    for likeness and high for variety; `gain` > 0 is the paper's lambda_k. Recorded are k, as `balance`, and the measure
    of `convergence` E(x) + |gamma E(x) - E(G(z))|.
    Raises `UserError` for numbers outside these ranges.
    Source: Berthelot et al. 2017, section 3.3, eq. 5 and 6, and section 3.4.1.
    """

    reacts = True
    energies = True
    balance: Tensor

    def __init__(self, gamma: float, gain: float) -> None:
        super().__init__()
        if not (0 <= gamma <= 1 and 0 < gain < math.inf):
            given = f"Began: gamma={gamma}, gain={gain}"
            raise UserError(given, "gamma from 0 to 1, gain above 0", "e.g. gamma=0.5 and gain=0.001")
        self.gamma, self.gain = gamma, gain
        self.register_buffer("balance", torch.zeros(()))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real - self.balance * fake

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return fake

    def observe(self, real: Tensor, fake: Tensor) -> Mapping[str, Tensor]:
        wanted = self.gamma * real.mean() - fake.mean()
        return {"balance": self.balance.clone(), "convergence": real.mean() + wanted.abs()}

    def react(self, opinion: Opinion) -> None:
        self.balance.add_(self.gain * (self.gamma * opinion.real - opinion.fake)).clamp_(0, 1)


def _needed(real: Tensor | None) -> Tensor:
    assert real is not None, "a paired objective needs the logits of real examples in the generator's turn"
    return real
