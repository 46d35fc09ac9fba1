"""Modules whose player `generator` makes examples from noise, and from classes where it is told any."""

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.modules.alternating import AlternatingModule
from duogen.modules.evaluated import at_rest
from duogen.records import Examples


class GenerativeModule(AlternatingModule):
    """Draws noise and classes, and examples by the evaluated generator.

    Args:
        latent_dim: dimension Z of the noise, >= 1.
        classes: how many classes the networks are told, those of the batch for generated examples too, or None.
    """

    def __init__(self, latent_dim: int, classes: int | None) -> None:
        super().__init__()
        self.latent_dim, self.classes = latent_dim, classes

    @property
    def gaussian(self) -> int:
        """How many of the noise's components, the first ones, are normal: all of them here."""
        return self.latent_dim

    def noise(self, count: int) -> Tensor:
        """z ~ N(0, I) of shape (count, Z), from the device's default generator."""
        return torch.randn(count, self.latent_dim, device=self.device)

    def labels(self, batch: Examples) -> Tensor | None:
        """The classes (N,) that both players are told; None where there are none."""
        if self.classes is None:
            return None
        if batch.labels is None:
            raise UserError("a conditional model on data without labels", "data with classes", "use model=gan")
        return batch.labels

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Noise (count, Z) on the CPU, from `generator` alone."""
        return torch.randn(count, self.latent_dim, generator=generator)

    def samples(self, count: int, generator: torch.Generator) -> Examples:
        """`count` examples, their classes in turn where there are classes."""
        labels = None if self.classes is None else torch.arange(count) % self.classes
        return self.exampled(self.drawn(count, generator), labels)

    def counterparts(self, batch: Examples, generator: torch.Generator) -> Examples:
        return self.exampled(self.drawn(batch.count, generator), self.labels(batch))

    def exampled(self, noise: Tensor, labels: Tensor | None) -> Examples:
        return Examples(self.generate(noise, labels), None if labels is None else labels.to(self.device))

    def generate(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Examples (N, *shape) from noise (N, Z) by the evaluated generator: its average once that has begun."""
        told = () if labels is None else (labels.to(self.device),)
        with at_rest(self.averaged("generator")) as network:
            return network(noise.to(self.device), *told).float()
