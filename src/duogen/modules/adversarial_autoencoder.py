"""Autoencoders whose codes, taken together, a discriminator cannot tell from the prior's (Makhzani et al. 2015)."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.modules.vae import VAE
from duogen.networks.decoder import Decoder
from duogen.networks.discriminator import Discriminator
from duogen.networks.likelihoods.likelihood import Likelihood
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.prior import Prior
from duogen.objectives.adversarial import Adversarial, require_logits
from duogen.objectives.variational.variational import Variational
from duogen.records import Examples, Loss


class AdversarialAutoencoder(VAE):
    """A GAN over codes, whose real ones are the prior's, z ~ p(z), and whose generator is an autoencoder's encoder.

    The player `autoencoder` minimises the variational objective, the player `discriminator` mean L_D(D(z), D(z')),
    z ~ p(z), z' ~ q(z | x), and the player `generator` mean L_G(D(z')). The generator is the posterior, which the
    autoencoder holds too: both turns move it, each by an optimizer of its own. The posterior may be deterministic or
    random (section 2 of the paper); the discriminator is told no class.

    Args:
        variational: what encoder and decoder minimise together; the paper's is the distortion alone.
        discriminator: D: codes (N, Z) -> logits (N,).
        adversarial: the pair of losses L_D and L_G.
    The others are the VAE's. Raises `UserError` for a prior with parameters, which no player would teach, and for
    adversarial losses of energies.
    Source: Makhzani et al. 2015, sections 1 and 2.
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
        latent_dim: int,
        classes: int | None,
    ) -> None:
        super().__init__(posterior, prior, decoder, likelihood, variational, latent_dim, classes)
        name = type(self).__name__
        if any(True for _ in prior.parameters()):
            given = f"{name}: prior {type(prior).__name__}, which learns, where codes learn to follow the prior"
            raise UserError(given, "priors without parameters: standard, hypersphere", "use prior=standard")
        require_logits(name, adversarial)
        self.discriminator, self.adversarial = discriminator, adversarial

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {
            "autoencoder": self.autoencoder,
            "discriminator": self.discriminator,
            "generator": self.autoencoder.posterior,
        }

    @property
    def compiled(self) -> Sequence[nn.Module]:
        return (*super().compiled, self.discriminator)

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {
            "autoencoder": self.loss,
            "discriminator": self.discriminator_loss,
            "generator": self.generator_loss,
        }

    @property
    def changing_buffers(self) -> Sequence[str]:
        """All networks' batch norm and spectral norm move in the training forwards, whoever acts."""
        return (*super().changing_buffers, "discriminator.")

    def discriminator_loss(self, batch: Examples) -> Loss:
        """Term `adversarial` (N,); observed are the logits (N,) of the prior's codes and of the examples'."""
        with torch.no_grad():
            codes = self.codes(batch)
        real, fake = self.judged(self.believed(batch.count)), self.judged(codes)
        return Loss(
            {"adversarial": self.adversarial.discriminator(real, fake)},
            batch.count,
            observed={"logits_real": real.detach(), "logits_fake": fake.detach()},
        )

    def generator_loss(self, batch: Examples) -> Loss:
        """Term `adversarial` (N,)."""
        return Loss({"adversarial": self.deceit(self.codes(batch))}, batch.count)

    def deceit(self, codes: Tensor) -> Tensor:
        """L_G (N,) of codes (N, Z); the prior's are judged for paired losses alone."""
        real = None
        if self.adversarial.paired:
            with torch.no_grad():
                real = self.judged(self.believed(len(codes)))
        return self.adversarial.generator(self.judged(codes), real)

    def believed(self, count: int) -> Tensor:
        """Codes z ~ p(z), (count, Z), from the device's default generator."""
        return self.autoencoder.believed().sample(torch.Size([count]))

    def judged(self, codes: Tensor) -> Tensor:
        """The discriminator's logits (N,) of codes (N, Z)."""
        return self.discriminator(codes).float()
