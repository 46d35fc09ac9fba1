"""Fully connected networks of gated layers, for vectors (D,) and for images (C, H, W)."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from duogen.errors import require_at_least
from duogen.networks.decoder import Decoder
from duogen.networks.dense import class_inputs, require_shape, told
from duogen.networks.encoder import Encoder


class GatedDense(nn.Module):
    """h = (A x + a) * sigmoid(B x + b), elementwise: (N, I) to (N, O); A and B stand in one linear layer, A first.

    Source: Dauphin et al. 2017, eq. 1; Tomczak and Welling 2018, section 5.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * outputs)

    def forward(self, values: Tensor) -> Tensor:
        return F.glu(self.linear(values), 1)


class GatedEncoder(Encoder):
    """Maps an example to features through `depth` gated layers of `width` units, F = `width`.

    Where there are `classes`, a one-hot class is appended to the example.
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below 1.
    Source: Tomczak and Welling 2018, section 5, with two layers of 300.
    """

    def __init__(self, shape: Sequence[int], width: int, depth: int, classes: int | None) -> None:
        super().__init__()
        require_shape("GatedEncoder", shape)
        require_at_least(1, "GatedEncoder", width=width, depth=depth)
        inputs = math.prod(shape) + class_inputs("GatedEncoder", classes)
        self.classes, self.feature_dim = classes, width
        self.layers = _gated([inputs, *[width] * depth])

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape), and labels (N,) where there are classes, to (N, width)."""
        return self.layers(told(examples.flatten(1), labels, self.classes))


class GatedDecoder(Decoder):
    """Maps a code to the numbers of an example through `depth` gated layers of `width` units and an affine map.

    Where there are `classes`, a one-hot class is appended to the code.
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below 1.
    Source: Tomczak and Welling 2018, section 5, with two layers of 300.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, depth: int, classes: int | None) -> None:
        super().__init__()
        require_shape("GatedDecoder", shape)
        require_at_least(1, "GatedDecoder", latent_dim=latent_dim, width=width, depth=depth)
        self.classes = classes
        self.layers = _gated([latent_dim + class_inputs("GatedDecoder", classes), *[width] * depth])
        self.layers.extend([nn.Linear(width, math.prod(shape)), nn.Unflatten(1, tuple(shape))])

    def forward(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), and labels (N,) where there are classes, to (N, *shape), unbounded."""
        return self.layers(told(code, labels, self.classes))


def _gated(sizes: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(*(GatedDense(*pair) for pair in pairwise(sizes)))
