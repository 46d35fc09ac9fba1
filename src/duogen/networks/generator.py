"""What every generator offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

INSTEAD = "generator=mlp, or decoder=mlp in a VAE"


class Generator(nn.Module, ABC):
    """Maps noise (N, Z), and a class for each example where it is conditional, to examples (N, *shape).

    `squash` comes last and brings the values to their range: nn.Tanh() for images, nn.Identity() for vectors.
    A generator that first maps noise to styles overrides `styles` and `render`, of which `forward` is the composition.
    """

    squash: nn.Module

    @abstractmethod
    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, Z), and labels (N,) where the generator knows classes, to (N, *shape), images in [-1, 1]."""

    def styles(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the picture is made from: (N, Z) to styles (N, S); the noise itself where there is no mapping."""
        return latent

    def render(self, styles: Tensor, labels: Tensor | None = None) -> Tensor:
        """Styles (N, S) to (N, *shape)."""
        return self.forward(styles, labels)
