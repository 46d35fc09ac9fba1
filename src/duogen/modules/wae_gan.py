"""Wasserstein autoencoders whose penalty is a discriminator's (Tolstikhin et al. 2018)."""

from collections.abc import Callable, Mapping

from torch import nn

from duogen.modules.adversarial_autoencoder import AdversarialAutoencoder
from duogen.modules.penalising import with_terms
from duogen.networks.decoder import Decoder
from duogen.networks.discriminator import Discriminator
from duogen.networks.likelihoods.likelihood import Likelihood
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.prior import Prior
from duogen.objectives.adversarial import Adversarial
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Examples, Loss


class WaeGan(AdversarialAutoencoder):
    """The adversarial autoencoder's game in two turns: encoder and decoder descend the sum of their losses together.

    The player `autoencoder` minimises the variational objective + lambda mean L_G(D(z')), z' ~ q(z | x), the codes
    that it decodes; the player `discriminator` mean L_D(D(z), D(z')). The paper weighs the latter by lambda too, which
    is a learning rate. With turns of their own, as in `AdversarialAutoencoder`, an optimizer that divides by the
    gradient's size would leave nothing of lambda.

    Args:
        variational: the cost of the transport; the paper's is the distortion, of a Gaussian likelihood.
        weight: lambda, >= 0, or a function of the step.
    The others are the adversarial autoencoder's. Raises `UserError` for a weight outside its range.
    Source: Tolstikhin et al. 2018, eq. 4 and algorithm 1, with L_G = -log D(z') as there.
    """

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior,
        decoder: Decoder,
        likelihood: Likelihood,
        variational: Variational,
        discriminator: Discriminator,
        adversarial: Adversarial,
        weight: float | Ramp,
        latent_dim: int,
        classes: int | None,
    ) -> None:
        super().__init__(
            posterior, prior, decoder, likelihood, variational, discriminator, adversarial, latent_dim, classes
        )
        require_weights("WaeGan", weight=weight)
        self.weight = weight

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder, "discriminator": self.discriminator}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"autoencoder": self.loss, "discriminator": self.discriminator_loss}

    def loss(self, batch: Examples) -> Loss:
        """The terms of the variational objective, and `adversarial` (N,)."""
        evidence = self.evidence_of(batch)
        deceit = self.deceit(evidence.code[0])
        return with_terms(self.variational(evidence), {"adversarial": deceit}, at(self.step, self.weight))
