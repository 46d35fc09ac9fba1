"""Residual networks in which one map attends to itself (Zhang et al. 2019, SAGAN)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.discriminator import Discriminator
from duogen.networks.generator import Generator
from duogen.networks.layers import constrain
from duogen.networks.resnet import Level, falling, generating, judging, rising, xavier


class SelfAttention(nn.Module):
    """y_j = gamma v(sum_i softmax_i(f(x_i) . g(x_j)) h(x_i)) + x_j for all positions j: (N, C, H, W) to (N, C, H, W).

    f, g, h and v are 1x1 convolutions without bias, to C / 8, C / 8, C / 2 and C channels, at least 1 each; keys f and
    values h are max-pooled by 2, so H and W are at least 2. gamma is one number and starts from 0.
    Source: Zhang et al. 2019, eq. 1 to 3, with the channels and the pooling of its section 3 and of the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.keys, self.queries = _projection(channels, narrow), _projection(channels, narrow)
        self.values, self.mix = _projection(channels, half), _projection(half, channels)
        self.pool = nn.MaxPool2d(2)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        queries = self.queries(maps).flatten(2)
        keys, values = self.pool(self.keys(maps)).flatten(2), self.pool(self.values(maps)).flatten(2)
        shares = (queries.transpose(1, 2) @ keys).softmax(2)
        attended = (values @ shares.transpose(1, 2)).unflatten(2, maps.shape[2:])
        return self.gamma * self.mix(attended) + maps


class AttentionGenerator(Generator):
    """The residual generator with self-attention on its map of side `attention_side`, by default the largest that fits.

    Null is the largest map of side at most 32 below the image's. Maps and channels are those of `ResnetGenerator`.
    `spectral_norm` divides every linear and convolutional weight by its largest singular value. Where there are
    `classes`, batch norm is conditional.
    Raises `UserError` for a side that no map has, a shape that doublings cannot reach, and for sizes below 1.
    Source: Zhang et al. 2019, section 3 and table 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        width: int,
        attention_side: int | None,
        spectral_norm: bool,
        classes: int | None,
    ) -> None:
        super().__init__()
        levels = rising("AttentionGenerator", shape, width)
        require_at_least(1, "AttentionGenerator", latent_dim=latent_dim)
        self.layers = generating(levels, latent_dim, shape[0], classes)
        place = attending("AttentionGenerator", levels, shape[-1], attention_side)
        self.layers.insert(place + 2, SelfAttention(levels[place].channels))
        constrain(self, spectral_norm, equalized=False)
        self.squash = nn.Tanh()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), and labels (N,) where there are classes, to (N, C, H, H) in [-1, 1]."""
        return self.squash(self.layers(latent, labels))


class AttentionDiscriminator(Discriminator):
    """The residual discriminator with self-attention on its map of side `attention_side`, by default the largest.

    Null is the largest map of side at most 32; of several with one side the first attends. All else is as in
    `ResnetDiscriminator`.
    Raises `UserError` for a side that no map has, a shape that doublings cannot reach, and for a width below 1.
    Source: Zhang et al. 2019, section 3 and table 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        attention_side: int | None,
        spectral_norm: bool,
        equalized: bool,
        minibatch_std: bool,
    ) -> None:
        super().__init__()
        levels = falling("AttentionDiscriminator", shape, width, "discriminator=mlp")
        self.layers = judging(levels, minibatch_std)
        place = 1 + attending("AttentionDiscriminator", levels[1:], shape[-1], attention_side)
        self.layers.insert(place, SelfAttention(levels[place].channels))
        self.feature_dim = levels[-1].channels + minibatch_std
        self.output = xavier(nn.Linear(self.feature_dim, 1), 1.0)
        constrain(self, spectral_norm, equalized)

    def features(self, examples: Tensor) -> Tensor:
        """(N, C, H, H) in [-1, 1] to (N, F)."""
        return self.layers(examples)


def attending(network: str, levels: Sequence[Level], image: int, side: int | None) -> int:
    """Which of the levels attends: the first of this side, or of the largest that is at most 32 and below the image's.

    Raises `UserError` for a side that no level of at least 4 has: a smaller one is pooled to a single key.
    """
    sides = [level.side for level in levels]
    allowed = sorted({candidate for candidate in sides if candidate >= 4})
    if side is None:
        return sides.index(max(candidate for candidate in allowed if candidate <= 32 and candidate < image))
    if side in allowed:
        return sides.index(side)
    near = sorted(allowed, key=lambda candidate: abs(candidate - side))
    given, listed = f"{network}: attention_side={side}", ", ".join(map(str, near))
    raise UserError(given, f"the sides of its maps: {listed}, or null", f"set attention_side={near[0]}")


def _projection(inputs: int, outputs: int) -> nn.Module:
    return xavier(nn.Conv2d(inputs, outputs, 1, bias=False), 1.0)
