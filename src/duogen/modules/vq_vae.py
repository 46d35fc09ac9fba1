"""Autoencoders with integer codes (van den Oord et al. 2017)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from duogen.errors import UserError
from duogen.metrics.code_use import CodeUse
from duogen.metrics.latent import LatentMeasure
from duogen.metrics.measure import Measure
from duogen.modules.alternating import Learner
from duogen.modules.evaluated import at_rest
from duogen.modules.generative import GenerativeModule
from duogen.modules.ranks import summed
from duogen.modules.turns import Turn, Turns
from duogen.networks.decoder import Decoder
from duogen.networks.encoder import Encoder
from duogen.networks.likelihoods.likelihood import Likelihood
from duogen.networks.quantized import MapDecoder, MapEncoder
from duogen.networks.quantizers.quantizer import Quantized, Quantizer
from duogen.records import Examples, Loss


@dataclass(frozen=True, kw_only=True)
class Coded(Loss):
    """A loss, and what became of the features (N, D, h, w), or (N, D), of its batch: codebooks follow both."""

    features: Tensor
    codes: Tensor


class Coder(nn.Module):
    """The networks of a VQ-VAE: examples to features to codes, and back to p(x | codes)."""

    pending: Tensor

    def __init__(
        self, encoder: Encoder | MapEncoder, quantizer: Quantizer, decoder: Decoder | MapDecoder, likelihood: Likelihood
    ) -> None:
        super().__init__()
        self.encoder, self.quantizer, self.decoder, self.likelihood = encoder, quantizer, decoder, likelihood
        self.projection = nn.Linear(encoder.feature_dim, quantizer.dim)

    def features(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape) to what is quantised, (N, D, h, w) or (N, D), affine in the encoder's features at each place."""
        return self.projection(self.encoder(self.likelihood.inputs(examples), labels).movedim(1, -1)).movedim(-1, 1)

    def quantized(self, features: Tensor, step: int) -> Quantized:
        return self.quantizer(features, step)

    def explained(self, features: Tensor, labels: Tensor | None = None) -> Distribution:
        """p(x | codes), batch shape (N,), from the features of the codes, and labels (N,) where there are classes."""
        return self.likelihood(self.decoder(features, labels).float())


class VQVAE(GenerativeModule):
    """Codes c of examples x, and p(x | c): L = -log p(x | c) + the terms of the quantizer.

    The player `autoencoder` minimises the term `distortion`, -log p(x | c) in nats, and those of its quantizer:
    `commitment`, `codebook`, `rate`. Before anything has been fitted to the codes of a trained model, samples are drawn
    from their frequencies at each place in training, each code independent of the others: not a model of images.

    Args:
        encoder: (N, *shape) -> (N, F, h, w), or (N, F): then one place stands for an example.
        quantizer: features (N, D, h, w) or (N, D), affine in the encoder's, to codes and back.
        decoder: (N, D, h, w) or (N, D) -> the numbers of p(x | c).
        likelihood: what these numbers mean.
        classes: how many classes encoder and decoder are told, or null; codes are drawn alike for all of them.
        memory: in [0, 1): frequencies <- memory frequencies + (1 - memory) those of the batch; they start uniform.
    Raises `UserError` for an encoder and a decoder of which one alone has places, and for a memory outside its range.
    Source: van den Oord et al. 2017, eq. 3.
    """

    frequencies: Tensor

    def __init__(
        self,
        encoder: Encoder | MapEncoder,
        quantizer: Quantizer,
        decoder: Decoder | MapDecoder,
        likelihood: Likelihood,
        classes: int | None,
        memory: float,
    ) -> None:
        super().__init__(quantizer.dim, classes)
        if isinstance(encoder, MapEncoder) != isinstance(decoder, MapDecoder):
            given = f"VQVAE: encoder {type(encoder).__name__} with decoder {type(decoder).__name__}"
            allowed = "both with places, such as vq, or both without, such as mlp"
            raise UserError(given, allowed, "e.g. encoder=vq decoder=vq, or encoder=mlp decoder=mlp")
        if not 0 <= memory < 1:
            raise UserError(f"VQVAE: memory={memory}", "a share: 0 <= memory < 1", "e.g. model.memory=0.99")
        self.autoencoder = Coder(encoder, quantizer, decoder, likelihood)
        self.memory, self.sizes = memory, tuple(quantizer.sizes)
        self.places = encoder.places if isinstance(encoder, MapEncoder) else ()
        self.register_buffer("frequencies", uniform(self.places, self.sizes))

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Of the codes of one example: (h, w) or (), and the number of codes of a place where there are several."""
        return (*self.places, *([len(self.sizes)] if len(self.sizes) > 1 else []))

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"autoencoder": self.loss}

    @property
    def compiled(self) -> Sequence[nn.Module]:
        return (self.autoencoder.encoder, self.autoencoder.decoder)

    @property
    def changing_buffers(self) -> Sequence[str]:
        """Batch norm moves in the training forwards, codebooks and frequencies after them."""
        return ("autoencoder.", "frequencies")

    def learn(self, turns: Turns, learners: Mapping[str, Learner], monitor: str | None) -> None:
        """Says how the player learns; where a step has several batches, `pending` holds what codebooks will follow."""
        if any(turn.accumulate > 1 for turn in turns.turns.values()):
            codes = torch.zeros(1, *self.code_shape[len(self.places) :], dtype=torch.long)
            gathered = self.autoencoder.quantizer.gathered(torch.zeros(1, self.latent_dim), codes)
            pending = torch.zeros(self.frequencies.numel() + gathered.numel())
            self.autoencoder.register_buffer("pending", pending)
        super().learn(turns, learners, monitor)

    def loss(self, batch: Examples) -> Coded:
        """Terms `distortion` (N,) and the quantizer's; observed is what the quantizer observes, as `perplexity`."""
        parts, labels = self.autoencoder, self.labels(batch)
        features = parts.features(batch.values, labels)
        made = parts.quantized(features, self.step)
        terms = {"distortion": distortion(parts, made.features, batch, labels), **made.terms}
        said = {"weights": made.weights, "observed": {name: value.detach() for name, value in made.observed.items()}}
        return Coded(terms, batch.count, **said, features=features.detach(), codes=made.codes)

    @torch.no_grad()
    def after_turn(self, turn: Turn, loss: Loss) -> None:
        """Codebooks and frequencies follow the features and codes of a step: of all its acts, and of all ranks."""
        assert isinstance(loss, Coded)
        quantizer, counts = self.autoencoder.quantizer, counted(loss.codes, self.frequencies.shape)
        with self.unrounded():
            gathered = torch.cat([counts.flatten(), quantizer.gathered(loss.features, loss.codes)])
        if turn.accumulate > 1:
            # Ranks average the buffers of their players before a step, which leaves the sum over the ranks as it is.
            gathered += self.autoencoder.pending
            self.autoencoder.pending.copy_(gathered)
            if not self.stepped(turn):
                return
            self.autoencoder.pending.zero_()
        offered = quantizer.offered(loss.features, loss.codes, self.step) * (self.global_rank == 0)
        total = summed(torch.cat([gathered, offered]))
        counts, gathered, offered = total.split([counts.numel(), gathered.numel() - counts.numel(), offered.numel()])
        counts = counts.view_as(self.frequencies)
        self.frequencies.lerp_(counts / counts.sum(1, keepdim=True), 1 - self.memory)
        quantizer.follow(gathered, offered, self.step)

    def stepped(self, turn: Turn) -> bool:
        """Whether the act that has just ended was the last one of its step."""
        return any(self.turns.windows[name].acts == 0 for name, each in self.turns.turns.items() if each is turn)

    def evaluating(self) -> AbstractContextManager[Coder]:
        """The evaluated networks in evaluation mode, without gradients."""
        return at_rest(cast("Coder", self.averaged("autoencoder")))

    def encode(self, batch: Examples) -> Tensor:
        """The codes (N, *code_shape) of a batch by the evaluated networks."""
        with self.evaluating() as parts:
            return parts.quantized(parts.features(batch.values, self.labels(batch)), self.step).codes

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Codes (count, *code_shape) on the CPU, each from its frequencies in training; of `generator` alone."""
        drawn = torch.multinomial(self.frequencies.cpu(), count, replacement=True, generator=generator)
        return drawn.T.reshape(count, *self.code_shape)

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """The means of p(x | c) as examples (N, *shape), from integer codes (N, *code_shape)."""
        told = None if labels is None else labels.to(self.device)
        with self.evaluating() as parts:
            return parts.likelihood.shown(parts.explained(parts.quantizer.decode(noise.to(self.device)), told))

    def evaluate_with(self, measures: Mapping[str, Measure], seed: int) -> None:
        """Takes on the measures; raises `UserError` for one of codes that are no integers."""
        for measure in measures.values():
            if isinstance(measure, CodeUse):
                measure.expect(self.sizes)
            elif isinstance(measure, LatentMeasure):
                given = f"metrics=[{measure.name}] with {type(self).__name__}, whose codes are integers"
                raise UserError(given, "code_use, and metrics of generated examples", "leave it out, or take model=vae")
        super().evaluate_with(measures, seed)

    @contextmanager
    def inference(self) -> Iterator[Any]:
        with self.evaluating() as parts:
            yield Coding(self, parts)


class Coding:
    """What the evaluated networks say of examples and of integer codes."""

    def __init__(self, module: VQVAE, parts: Coder) -> None:
        self.module, self.parts = module, parts
        self.sizes, self.level = module.sizes, parts.likelihood.level

    def codes(self, examples: Examples) -> Tensor:
        return self.module.encode(examples)

    def distortion(self, codes: Tensor, examples: Examples) -> Tensor:
        return distortion(self.parts, self.parts.quantizer.decode(codes), examples, self.module.labels(examples))


def distortion(parts: Coder, features: Tensor, batch: Examples, labels: Tensor | None) -> Tensor:
    """-log p(x | c), (N,), from the features of the codes."""
    return -parts.explained(features, labels).log_prob(parts.likelihood.prepared(batch.values))


def uniform(places: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """(P L, K): 1 / K_l for each code l of each place, 0 for values that it has not."""
    rows = [[1 / size] * size + [0.0] * (max(sizes) - size) for size in sizes]
    return torch.tensor(rows).repeat(torch.Size(places).numel(), 1)


def counted(codes: Tensor, shape: torch.Size) -> Tensor:
    """(P L, K): how often each code of each place of (N, ...), L codes for each of P places, has each value."""
    values = codes.reshape(len(codes), -1).T
    ones = torch.ones(values.shape, device=codes.device)
    return torch.zeros(shape, device=codes.device).scatter_add_(1, values, ones)
