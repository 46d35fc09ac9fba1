"""Variational autoencoders: an encoder and a decoder that share one turn (Kingma and Welling 2014)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from duogen.errors import UserError
from duogen.metrics.latent import Inference
from duogen.modules.evaluated import at_rest, seeded
from duogen.modules.generative import GenerativeModule
from duogen.modules.penalising import full_precision
from duogen.networks.decoder import Decoder
from duogen.networks.likelihoods.likelihood import Likelihood
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.prior import Prior
from duogen.objectives.variational.evidence import Evidence
from duogen.objectives.variational.variational import Variational
from duogen.records import Examples, Loss


class Generation(nn.Module):
    """p(z) and p(x | z): the side of a variational autoencoder that makes examples."""

    def __init__(self, prior: Prior, decoder: Decoder, likelihood: Likelihood) -> None:
        super().__init__()
        self.prior, self.decoder, self.likelihood = prior, decoder, likelihood

    def explained(self, codes: Tensor, labels: Tensor | None = None, eager: bool = False) -> Distribution:
        """p(x | z) of codes (K, N, Z), batch shape (K, N), and of the labels (N,) where there are classes.

        What is differentiated twice leaves compiled code aside: `eager`.
        """
        repeated = None if labels is None else labels.repeat(len(codes))
        decode = self.decoder.forward if eager else self.decoder
        return self.likelihood(decode(codes.flatten(0, 1), repeated).float().unflatten(0, codes.shape[:2]))


class Parts(nn.Module):
    """The networks of a variational autoencoder, and what they say of examples and of codes together."""

    def __init__(self, posterior: Posterior, generation: Generation) -> None:
        super().__init__()
        self.posterior, self.generation = posterior, generation

    @property
    def likelihood(self) -> Likelihood:
        return self.generation.likelihood

    def recognised(self, values: Tensor, labels: Tensor | None = None) -> Distribution:
        """q(z | x) of examples (N, *shape), images in [-1, 1]."""
        return self.posterior(self.likelihood.inputs(values), labels)

    def believed(self) -> Distribution:
        """p(z)."""
        return self.generation.prior(self.recognised)

    def explained(self, codes: Tensor, labels: Tensor | None = None, eager: bool = False) -> Distribution:
        """p(x | z) of codes (K, N, Z), batch shape (K, N)."""
        return self.generation.explained(codes, labels, eager)


class VAE(GenerativeModule):
    """Codes z ~ p(z) and examples x ~ p(x | z), with q(z | x) in the place of p(z | x).

    The player `autoencoder` minimises the variational objective of K codes z ~ q(z | x) of each example.

    Args:
        posterior: q(z | x), an encoder with a head.
        prior: p(z).
        decoder: (M, Z) -> the numbers of p(x | z).
        likelihood: what these numbers mean.
        variational: the objective.
        latent_dim: Z, >= 1.
        classes: how many classes encoder and decoder are told, or null (Sohn et al. 2015).
    Raises `UserError` for an objective that gives encoder and decoder different gradients.
    """

    splits: ClassVar[bool] = False

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior,
        decoder: Decoder,
        likelihood: Likelihood,
        variational: Variational,
        latent_dim: int,
        classes: int | None,
    ) -> None:
        super().__init__(latent_dim, classes)
        if variational.split and not self.splits:
            given = f"variational {type(variational).__name__}: encoder and decoder have different gradients"
            raise UserError(given, "model=split_vae, where each has a turn of its own", "take model=split_vae")
        self.autoencoder = Parts(posterior, Generation(prior, decoder, likelihood))
        self.variational = variational
        self.examples = 0

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"autoencoder": self.loss}

    @property
    def evaluated(self) -> Sequence[str]:
        return ("autoencoder",)

    @property
    def compiled(self) -> Sequence[nn.Module]:
        return (self.autoencoder.posterior.encoder, self.autoencoder.generation.decoder)

    @property
    def changing_buffers(self) -> Sequence[str]:
        """Batch norm moves in the training forwards, the objective's own state after them."""
        return ("autoencoder.", "variational.")

    def on_fit_start(self) -> None:
        super().on_fit_start()
        data: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        self.examples = len(data.splits["train"])

    def loss(self, batch: Examples) -> Loss:
        return self.variational(self.evidence_of(batch))

    def evidence_of(self, batch: Examples) -> Evidence:
        """What the networks in training say of a batch, from as many codes as the objective wants."""
        labels, parts, variational = self.labels(batch), self.autoencoder, self.variational
        with full_precision(self.device) if variational.twice else nullcontext():
            posterior = parts.recognised(batch.values, labels)
            return self.weighed(parts, posterior, parts.likelihood.prepared(batch.values), labels, variational.draws)

    def codes(self, batch: Examples) -> Tensor:
        """A code z ~ q(z | x) of each example, (N, Z)."""
        return self.autoencoder.recognised(batch.values, self.labels(batch)).rsample(torch.Size([1]))[0]

    def weighed(
        self, parts: Parts, posterior: Distribution, target: Tensor, labels: Tensor | None, draws: int
    ) -> Evidence:
        """What the parts say of examples, `target` (N, *shape) in the support, from `draws` codes of each posterior."""
        code = posterior.rsample(torch.Size([draws]))

        def explain(codes: Tensor) -> Tensor:
            return parts.explained(codes, labels, self.variational.twice).log_prob(target)

        decoded = parts.explained(code, labels, self.variational.twice)
        return Evidence(
            posterior=posterior,
            prior=parts.believed(),
            code=code,
            log_likelihood=decoded.log_prob(target),
            examples=self.examples,
            step=self.step,
            explain=explain,
            decoded=decoded,
            parameters=lambda: list(parts.generation.decoder.parameters()),
        )

    @property
    def parts(self) -> Parts:
        """The evaluated networks: their average once that has begun."""
        return cast("Parts", self.averaged("autoencoder"))

    def evaluating(self) -> AbstractContextManager[Parts]:
        """The evaluated networks in evaluation mode, without gradients."""
        return at_rest(self.parts)

    @contextmanager
    def inference(self) -> Iterator[Inference]:
        with self.evaluating() as parts:
            yield Recognition(self, parts)

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Codes (count, Z) of the prior, on the CPU; a function of `generator` alone."""
        with self.evaluating() as parts, seeded(generator, self.device):
            return parts.believed().sample(torch.Size([count])).cpu()

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """The means of p(x | z) as examples (N, *shape), from codes (N, Z), by the evaluated decoder."""
        with self.evaluating() as parts:
            told = None if labels is None else labels.to(self.device)
            return parts.likelihood.shown(parts.explained(noise.to(self.device)[None], told))[0]


class Recognition:
    """What the evaluated networks say of examples and of codes."""

    def __init__(self, module: VAE, parts: Parts) -> None:
        self.module, self.parts, self.latent_dim = module, parts, module.latent_dim
        self._recognised: tuple[Examples, Distribution] | None = None
        self._prepared: tuple[Examples, Tensor] | None = None

    @property
    def level(self) -> float | None:
        return self.parts.likelihood.level

    def recognised(self, examples: Examples) -> Distribution:
        if self._recognised is None or self._recognised[0] is not examples:
            self._recognised = examples, self.parts.recognised(examples.values, self.module.labels(examples))
        return self._recognised[1]

    def prepared(self, examples: Examples) -> Tensor:
        """The examples in the likelihood's support, with one draw of noise where it adds any."""
        if self._prepared is None or self._prepared[0] is not examples:
            self._prepared = examples, self.parts.likelihood.prepared(examples.values)
        return self._prepared[1]

    def evidence(self, examples: Examples, draws: int) -> Evidence:
        posterior, target = self.recognised(examples), self.prepared(examples)
        return self.module.weighed(self.parts, posterior, target, self.module.labels(examples), draws)

    def believed(self) -> Distribution:
        return self.parts.believed()

    def explained(self, codes: Tensor, examples: Examples) -> Tensor:
        return self.parts.explained(codes, self.module.labels(examples)).log_prob(self.prepared(examples))
