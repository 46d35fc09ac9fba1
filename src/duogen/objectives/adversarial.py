"""What the two players of a GAN minimise, one class per published formulation.

D(x) below is the discriminator's raw output, a logit where the paper wants a probability: p(x) = sigmoid(D(x)).
Every loss is per example; the mean over the batch is the caller's.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from duogen.records import Opinion


class Adversarial(nn.Module, ABC):
    """The two losses of a GAN, both minimised; a `paired` one compares fake with real, so both turns need `real`.

    One that `reacts` has registered buffers, which `react` updates after each of the discriminator's turns.
    """

    paired: ClassVar[bool] = False
    reacts: ClassVar[bool] = False

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss (N,) from its logits (N,) for real and (N,) for generated examples."""

    @abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The generator's loss (N,) from the logits (N,) of generated examples, and of real ones where `paired`."""

    def react(self, opinion: Opinion) -> None:
        """Updates the buffers after one of the discriminator's turns."""


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
