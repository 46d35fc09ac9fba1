"""Trained autoencoders whose codes another model draws, fitted to the codes of the training set."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.metrics.latent import Inference
from duogen.modules.alternating import AlternatingModule
from duogen.modules.evaluated import at_rest, seeded
from duogen.modules.generative import GenerativeModule
from duogen.modules.vae import VAE
from duogen.modules.vq_vae import VQVAE
from duogen.networks.posteriors.von_mises_fisher import VonMisesFisherPosterior
from duogen.networks.samplers.grid import GridSampler
from duogen.networks.samplers.sampler import Sampler, VectorSampler
from duogen.records import Examples, Loss

AT_ONCE = 512


class Encoding(ABC):
    """A trained module as samplers of its codes see it; `kind` is what these are, `called` such codes."""

    kind: ClassVar[type[Sampler]]
    called: ClassVar[str]

    @property
    @abstractmethod
    def trained(self) -> GenerativeModule:
        """The module."""

    @property
    @abstractmethod
    def classes(self) -> int | None:
        """How many classes a sampler is told."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What a sampler's constructor must be told of the codes."""

    @abstractmethod
    def encoded(self, examples: Examples) -> Tensor:
        """The codes (N, ...) of examples on the module's device; what is drawn is of the default generators."""

    def encode(self, batches: Iterable[Examples], generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """The codes (N, ...) of all examples, batch after batch, of `generator` alone; with classes, labels (N,)."""
        codes, labels, device = [], [], self.trained.device
        with seeded(generator, device):
            for batch in batches:
                codes.append(self.encoded(batch.to(device)))
                labels += [] if batch.labels is None else [batch.labels]
        return torch.cat(codes), None if self.classes is None else torch.cat(labels).to(device)


@dataclass(frozen=True)
class Vectors(Encoding):
    """Codes z ~ q(z | x), (N, Z), of the classes that encoder and decoder are told."""

    kind, called = VectorSampler, "vectors of real numbers"
    module: VAE

    @property
    def trained(self) -> VAE:
        return self.module

    @property
    def classes(self) -> int | None:
        return self.module.classes

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"latent_dim": self.module.latent_dim, "classes": self.classes}

    def encoded(self, examples: Examples) -> Tensor:
        with self.module.inference() as model:
            return model.recognised(examples).sample(torch.Size([1]))[0]


@dataclass(frozen=True)
class Grids(Encoding):
    """Integer codes (N, *code_shape), of the `known` classes, whether encoder and decoder are told them or not."""

    kind, called = GridSampler, "integers on a grid"
    module: VQVAE
    known: int | None

    @property
    def trained(self) -> VQVAE:
        return self.module

    @property
    def classes(self) -> int | None:
        return self.known

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"places": list(self.module.places), "sizes": list(self.module.sizes), "classes": self.classes}

    def encoded(self, examples: Examples) -> Tensor:
        return self.module.encode(examples)


def encoding(module: AlternatingModule, asked: str, classes: int | None) -> Encoding:
    """The module as a sampler sees it; `classes` is how many the training examples are labelled with, or None.

    Raises `UserError` for a module without codes, and for codes on a sphere.
    """
    if isinstance(module, VQVAE):
        return Grids(module, classes if module.classes is None else module.classes)
    if isinstance(module, VAE):
        refuse_sphere(module, asked)
        return Vectors(module)
    given = f"{asked} with a checkpoint of {type(module).__name__}, which has no codes to fit it to"
    raise UserError(given, "checkpoints of a VAE or of a VQ-VAE", "leave it out")


def refuse_sphere(module: VAE, asked: str) -> None:
    if isinstance(module.parts.posterior, VonMisesFisherPosterior):
        given = f"{asked} with a checkpoint whose codes lie on a sphere, which no sampler keeps to"
        raise UserError(given, "checkpoints of a VAE with codes in R^Z", "leave it out: the prior is uniform there")


class Resampled(GenerativeModule):
    """A trained autoencoder whose examples are decoded from what a sampler draws: p(x | z), z = T(e, y), e ~ N(0, I).

    It is evaluated, never trained. Its noise is that of the sampler, `noise_dim` normal numbers; its classes are those
    that the sampler is told. What the autoencoder says of examples is as it was.
    """

    def __init__(self, encoding: Encoding, sampler: Sampler) -> None:
        super().__init__(sampler.noise_dim, encoding.classes)
        self.trained, self.sampler, self.tells = encoding.trained, sampler, encoding.trained.classes is not None

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return self.trained.players

    @property
    def objectives(self) -> Mapping[str, Callable[[Any], Loss]]:
        return self.trained.objectives

    @property
    def evaluated(self) -> Sequence[str]:
        return self.trained.evaluated

    @property
    def owner(self) -> str:
        return self.trained.owner

    def averaged(self, player: str) -> nn.Module:
        return self.trained.averaged(player)

    def inference(self) -> AbstractContextManager[Inference] | None:
        return self.trained.inference()

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Examples (N, *shape) from noise (N, S), and from labels (N,) where there are classes; 512 codes at a time."""
        told = None if labels is None else labels.to(self.device)
        with at_rest(self.sampler) as sampler:
            parts = [
                sampler(noise[rows].to(self.device), None if told is None else told[rows])
                for rows in torch.arange(len(noise)).split(AT_ONCE)
            ]
        return self.trained.generate(torch.cat(parts), told if self.tells else None)
