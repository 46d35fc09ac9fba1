"""Variational autoencoders whose codes are kept independent of each other (Kim and Mnih 2018)."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from duogen.errors import UserError
from duogen.modules.penalising import with_terms
from duogen.modules.vae import VAE
from duogen.networks.decoder import Decoder
from duogen.networks.discriminator import Discriminator
from duogen.networks.likelihoods.likelihood import Likelihood
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.prior import Prior
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Examples, Loss


class FactorVAE(VAE):
    """A VAE that also keeps the total correlation of its codes small, as a discriminator D estimates it.

    TC = KL(q(z) || prod_d q(z_d)) ~ mean_n log p_n / (1 - p_n) = mean_n D(z_n),  p_n = sigmoid(D(z_n)),
    p_n being how likely it is that z_n is a code of an example, and no code whose dimensions come from different ones.
    The player `autoencoder` minimises the variational objective + gamma TC, the player `discriminator` the mean of
    (-log p(z_n) - log(1 - p(z'_n))) / 2, ln 2 by chance, z codes of its batch and z' permuted codes of an extra batch,
    permuted among those of one rank. Each turn draws codes of its own, where the paper's share those of the batch.
    The paper's discriminator has two outputs and a softmax, and its log ratio is their difference: one affine map of
    the last hidden layer, as our one output is.

    Args:
        discriminator: D: codes (N, Z) -> logits (N,), each for itself.
        gamma: the weight of the total correlation, >= 0, or a function of the step.
    The others are the VAE's. Raises `UserError` for a gamma outside its range.
    Source: Kim and Mnih 2018, eq. 2 and 3, algorithms 1 and 2.
    """

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior,
        decoder: Decoder,
        likelihood: Likelihood,
        variational: Variational,
        discriminator: Discriminator,
        gamma: float | Ramp,
        latent_dim: int,
        classes: int | None,
    ) -> None:
        super().__init__(posterior, prior, decoder, likelihood, variational, latent_dim, classes)
        require_weights("FactorVAE", gamma=gamma)
        self.discriminator, self.gamma = discriminator, gamma

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder, "discriminator": self.discriminator}

    @property
    def compiled(self) -> Sequence[nn.Module]:
        return (*super().compiled, self.discriminator)

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"autoencoder": self.loss, "discriminator": self.discriminator_loss}

    @property
    def changing_buffers(self) -> Sequence[str]:
        """Both networks' batch norm and spectral norm move in the training forwards, whoever acts."""
        return (*super().changing_buffers, "discriminator.")

    def loss(self, batch: Examples) -> Loss:
        """The terms of the variational objective, and `total_correlation` (N,), log ratios in nats."""
        evidence = self.evidence_of(batch)
        ratios = self.discriminator(evidence.code[0]).float()
        return with_terms(self.variational(evidence), {"total_correlation": ratios}, at(self.step, self.gamma))

    def discriminator_loss(self, batch: Examples) -> Loss:
        """Term `cross_entropy` (N,); observed are the logits (N,) of codes and of permuted ones."""
        with torch.no_grad():
            codes, others = self.codes(batch), permuted(self.codes(self.extra_batch()))
        together, apart = self.discriminator(codes).float(), self.discriminator(others).float()
        return Loss(
            {"cross_entropy": (softplus(-together) + softplus(apart)) / 2},
            batch.count,
            observed={"logits_codes": together.detach(), "logits_permuted": apart.detach()},
        )


def permuted(codes: Tensor) -> Tensor:
    """Codes (N, Z), each dimension in an order of its own: prod_d q(z_d) as long as N is large.

    Raises `UserError` for one code alone. Source: Kim and Mnih 2018, algorithm 1.
    """
    if len(codes) < 2:
        given = "FactorVAE: a batch of one example on a rank, whose code cannot be permuted"
        raise UserError(given, "2 or more", "give a greater data.batch_size, which ranks share")
    return codes.gather(0, torch.rand_like(codes).argsort(0))
