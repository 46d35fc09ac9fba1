"""Autoencoders that compare examples by what a discriminator sees in them (Larsen et al. 2016)."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from duogen.errors import UserError
from duogen.modules.penalising import full_precision, with_terms
from duogen.modules.split_vae import SplitVAE
from duogen.networks.decoder import Decoder
from duogen.networks.discriminator import Discriminator
from duogen.networks.likelihoods.likelihood import Likelihood
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.prior import Prior
from duogen.objectives.adversarial import Adversarial, require_logits
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.ramp import Ramp, at, require_weights
from duogen.records import Examples, Loss


class VaeGan(SplitVAE):
    """A VAE whose decoder is the generator of a GAN, and whose distortion is between hidden features of D.

    With f(x) the features of the discriminator D before its output, x the examples, G(z) the mean of p(x | z) as an
    example, y = G(z), z ~ q(z | x), and s = G(z'), z' ~ p(z), in place of p(x | z) training sees
        p(f(x) | z) = N(f(x); f(G(z)), I).
    The encoder minimises the variational objective of it, whose distortion is -log p(f(x) | z); the decoder gamma times
    that objective + L_G(D(y)) + L_G(D(s)), from which nothing reaches the encoder; the discriminator
    (L_D(D(x), D(y)) + L_D(D(x), D(s))) / 2, and nothing of the distortion. Real examples so weigh as much as both kinds
    of generated ones together, as in the authors' code (0.5, 0.25 and 0.25 there); in eq. 8 they weigh half as much.
    Each turn draws codes of its own, and its examples pass the discriminator as one batch, as the authors' do.

    The likelihood says how an example is shown, and held-out examples are measured by it; it is not trained.

    Args:
        discriminator: D: (N, *shape) -> (N,) logits; f are its last hidden features, the authors' the convolution
            before the last hidden layer.
        adversarial: the pair of losses L_D and L_G; eq. 8 is minimax.
        gamma: the weight of the objective for the decoder, >= 0, or a function of the step; 1e-5 in the authors' code.
    The others are the VAE's; no class is told to the discriminator. Raises `UserError` for a gamma outside its range,
    for adversarial losses of energies, and for likelihoods with parameters, which no player would teach.
    Source: Larsen et al. 2016, section 2.3, algorithm 1.
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
        gamma: float | Ramp,
        latent_dim: int,
        classes: int | None,
    ) -> None:
        super().__init__(posterior, prior, decoder, likelihood, variational, latent_dim, classes)
        require_weights("VaeGan", gamma=gamma)
        require_logits("VaeGan", adversarial)
        if any(True for _ in likelihood.parameters()):
            given = (
                f"VaeGan: likelihood {type(likelihood).__name__}, which learns, where examples are not compared by it"
            )
            raise UserError(given, "likelihoods without parameters", "use likelihood=bernoulli")
        self.discriminator, self.adversarial, self.gamma = discriminator, adversarial, gamma

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {**super().players, "discriminator": self.discriminator}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {**super().objectives, "discriminator": self.discriminator_loss}

    @property
    def compiled(self) -> Sequence[nn.Module]:
        return (*super().compiled, self.discriminator)

    @property
    def changing_buffers(self) -> Sequence[str]:
        """All networks' batch norm and spectral norm move in the training forwards, whoever acts."""
        return (*super().changing_buffers, "discriminator.")

    def evidence_of(self, batch: Examples) -> Evidence:
        """What the networks say of the features of a batch, from as many codes as the objective wants."""
        with full_precision(self.device) if self.variational.twice else nullcontext():
            posterior, code = self.recognised(batch, self.variational.draws)
            made = self.shown(code, batch)
            return self.compared(posterior, code, batch, *self.features(batch.values, made.flatten(0, 1)))

    def decoder_loss(self, batch: Examples) -> Loss:
        """The objective's terms, and `adversarial_reconstructed` and `adversarial_sampled`, (N,) each."""
        with full_precision(self.device) if self.variational.twice else nullcontext():
            posterior, code = self.recognised(batch, self.variational.draws)
            made, sampled = self.shown(code, batch), self.sampled(batch)
            real, fake, drawn = self.features(batch.values, made.flatten(0, 1), sampled)
            evidence = self.compared(posterior, code, batch, real, fake)
            loss = self.variational.decoder(evidence)
        logits = [self.logits(features) for features in (real, fake[: batch.count], drawn)]
        terms = {
            "adversarial_reconstructed": self.adversarial.generator(logits[1], logits[0]),
            "adversarial_sampled": self.adversarial.generator(logits[2], logits[0]),
        }
        return with_terms(scaled(loss, at(self.step, self.gamma)), terms, 1.0)

    def discriminator_loss(self, batch: Examples) -> Loss:
        """Terms `adversarial_reconstructed` and `adversarial_sampled`, (N,) each; observed are the logits (N,)."""
        with torch.no_grad():
            _, code = self.recognised(batch, 1)
            made, sampled = self.shown(code, batch)[0], self.sampled(batch)
        real, fake, drawn = self.discriminator(torch.cat([batch.values, made, sampled])).float().chunk(3)
        terms = {
            "adversarial_reconstructed": self.adversarial.discriminator(real, fake),
            "adversarial_sampled": self.adversarial.discriminator(real, drawn),
        }
        said = {"logits_real": real, "logits_reconstructed": fake, "logits_sampled": drawn}
        observed = {name: logits.detach() for name, logits in said.items()}
        return with_terms(Loss({}, batch.count, observed=observed), terms, 0.5)

    def recognised(self, batch: Examples, draws: int) -> tuple[Distribution, Tensor]:
        """q(z | x), and `draws` codes of it, (K, N, Z)."""
        posterior = self.autoencoder.recognised(batch.values, self.labels(batch))
        return posterior, posterior.rsample(torch.Size([draws]))

    def shown(self, codes: Tensor, batch: Examples) -> Tensor:
        """G(z) of codes (K, N, Z), of the batch's classes where there are classes: (K, N, *shape)."""
        parts = self.autoencoder
        return parts.likelihood.shown(parts.explained(codes, self.labels(batch), self.variational.twice))

    def sampled(self, batch: Examples) -> Tensor:
        """Examples (N, *shape) of codes of the prior, as many as the batch holds."""
        return self.shown(self.autoencoder.believed().sample(torch.Size([1, batch.count])), batch)[0]

    def features(self, *examples: Tensor) -> Sequence[Tensor]:
        """f of each of several batches (N_i, *shape), (N_i, F), which pass the discriminator together."""
        found = self.discriminator.features(torch.cat(examples)).float()
        return found.split([len(one) for one in examples])

    def logits(self, features: Tensor) -> Tensor:
        """D's logits (N,) from its features (N, F)."""
        return self.discriminator.output(features).flatten(0).float()

    def compared(self, posterior: Distribution, code: Tensor, batch: Examples, real: Tensor, made: Tensor) -> Evidence:
        """The evidence of features (N, F) from those of what K codes became, (K N, F)."""

        def explain(codes: Tensor) -> Tensor:
            (features,) = self.features(self.shown(codes, batch).flatten(0, 1))
            return near(features.unflatten(0, codes.shape[:2])).log_prob(real)

        decoded = near(made.unflatten(0, code.shape[:2]))
        return Evidence(
            posterior=posterior,
            prior=self.autoencoder.believed(),
            code=code,
            log_likelihood=decoded.log_prob(real),
            examples=self.examples,
            step=self.step,
            explain=explain,
            decoded=decoded,
            parameters=lambda: list(self.autoencoder.generation.decoder.parameters()),
        )


def near(features: Tensor) -> Distribution:
    """N(features, I), of event shape (F,)."""
    return Independent(Normal(features, 1.0, validate_args=False), 1, validate_args=False)


def scaled(loss: Loss, factor: float) -> Loss:
    """The loss with all its weights `factor` times as large."""
    return replace(loss, weights={name: factor * loss.weights.get(name, 1.0) for name in loss.terms})
