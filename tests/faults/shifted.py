"""A generator whose samples lie off by as much as its setting says: a worse setting that is known to be worse."""

from collections.abc import Sequence

from torch import Tensor

from duogen.networks.dense import MlpGenerator


class Shifted(MlpGenerator):
    """An MLP's output, moved by `shift` in every dimension."""

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, depth: int, shift: float) -> None:
        super().__init__(shape, latent_dim, width, depth, batch_norm=False, initial_std=None, classes=None)
        self.shift = shift

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(latent, labels) + self.shift
