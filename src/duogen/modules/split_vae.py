"""Variational autoencoders whose encoder and decoder have a turn each, and may follow different gradients."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, cast

from torch import nn

from duogen.modules.vae import VAE, Generation, Parts
from duogen.networks.posteriors.posterior import Posterior
from duogen.records import Examples, Loss


class SplitVAE(VAE):
    """The player `encoder` is q(z | x), the player `decoder` p(z) and p(x | z), each with its own loss.

    Objectives such as PIWAE (Rainforth et al. 2018) and the doubly reparameterised gradient (Tucker et al. 2019) give
    the two sides different gradients; with the others both minimise the same loss, with optimizers of their own. Each
    turn draws codes of its own. The arguments are those of `VAE`.
    """

    splits: ClassVar[bool] = True

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.autoencoder.posterior, "decoder": self.autoencoder.generation}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"encoder": self.encoder_loss, "decoder": self.decoder_loss}

    @property
    def evaluated(self) -> Sequence[str]:
        return ("encoder", "decoder")

    @property
    def parts(self) -> Parts:
        posterior = cast("Posterior", self.averaged("encoder"))
        return Parts(posterior, cast("Generation", self.averaged("decoder")))

    def encoder_loss(self, batch: Examples) -> Loss:
        return self.variational.encoder(self.evidence_of(batch))

    def decoder_loss(self, batch: Examples) -> Loss:
        return self.variational.decoder(self.evidence_of(batch))
