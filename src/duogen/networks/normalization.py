"""Batch norm with one gain and bias per channel, or with one per channel and class."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from duogen.errors import UserError, require_at_least


class Labelled(nn.Module, ABC):
    """A layer that may be told the class of each example."""

    @abstractmethod
    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """Values (N, ...), and labels (N,) where the layer knows classes, to values (N, ...)."""


class Chain(Labelled, nn.ModuleList):
    """Layers one after another, of which those that are `Labelled` are told the labels: (N, ...) to (N, ...)."""

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        for layer in self:
            values = layer(values, labels) if isinstance(layer, Labelled) else layer(values)
        return values


class ConditionalBatchNorm2d(Labelled):
    """gamma_y (x - mean) / sqrt(var + 1e-5) + beta_y: (N, C, H, W) and labels (N,) to (N, C, H, W).

    Mean and variance are the batch's, over all classes, and in evaluation the running ones. Each class y has its own
    gamma_y and beta_y, (C,) each, which start from 1 and 0. Raises `UserError` for fewer than 1 class,
    and where no labels are given.
    Source: de Vries et al. 2017, section 3; Dumoulin et al. 2017, section 2.2.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        require_at_least(1, "ConditionalBatchNorm2d", classes=classes)
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            given = f"a network of {self.gain.num_embeddings} classes, and examples without labels"
            raise UserError(given, "one label for each example", "use a conditional model, or set classes=null")
        values = self.norm(values)
        gain, bias = self.gain(labels).to(values.dtype), self.bias(labels).to(values.dtype)
        return gain[:, :, None, None] * values + bias[:, :, None, None]


def batch_norm_2d(channels: int, classes: int | None) -> nn.Module:
    """Batch norm of maps (N, C, H, W): plain, or conditional where there are `classes`."""
    return nn.BatchNorm2d(channels) if classes is None else ConditionalBatchNorm2d(channels, classes)
