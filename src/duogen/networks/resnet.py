"""Residual networks for square images (C, H, H), as those of spectral normalisation (Miyato et al. 2018)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from duogen.errors import require_at_least
from duogen.networks.dense import class_inputs, told
from duogen.networks.discriminator import Discriminator
from duogen.networks.encoder import Encoder
from duogen.networks.generator import INSTEAD, Generator
from duogen.networks.layers import MinibatchStd, constrain
from duogen.networks.normalization import Chain, Labelled, batch_norm_2d
from duogen.networks.pyramid import doublings

GAIN = 2**0.5


class Level(NamedTuple):
    """A map of features (N, channels, side, side)."""

    side: int
    channels: int


class Residual(Labelled):
    """shortcut(x) + branch(x), the branch told the labels (N,): (N, C, H, W) to (N, C', H', W')."""

    def __init__(self, branch: Labelled, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.shortcut(values) + self.branch(values, labels)


class SumPool(nn.Module):
    """(N, C, H, W) to (N, C), summed over the map."""

    def forward(self, values: Tensor) -> Tensor:
        return values.sum((2, 3))


class ResnetGenerator(Generator):
    """Doubles a small feature map by residual blocks, with nearest upsampling, until it is an image.

    An affine map makes the first feature map of side H / 2**k, k = max(2, floor(log2(H / 4))). Up to H = 32 all maps
    have `width` channels; above, those next to the image have `width`, each map of half the side has twice as many, up
    to 16 * width. With width=256 at 32 and 64 at 48 and 128 these are the published networks. Where there are
    `classes`, batch norm is conditional. The last layer ends in tanh.
    Weights start Xavier uniform, with a gain of sqrt(2) inside the blocks and of 1 elsewhere, biases from 0.
    Raises `UserError` for a shape that k doublings cannot reach, and for sizes below 1.
    Source: Miyato et al. 2018, appendix B.4, tables 4 to 6.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, classes: int | None) -> None:
        super().__init__()
        levels = rising("ResnetGenerator", shape, width)
        require_at_least(1, "ResnetGenerator", latent_dim=latent_dim)
        self.layers = generating(levels, latent_dim, shape[0], classes)
        self.squash = nn.Tanh()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), and labels (N,) where there are classes, to (N, C, H, H) in [-1, 1]."""
        return self.squash(self.layers(latent, labels))


class ResnetDiscriminator(Discriminator):
    """Halves an image by residual blocks with average pooling, sums the last map, and reads one logit off the sums.

    Up to H = 32 two blocks halve and two more follow, all of `width` channels. Above, blocks halve while the side is
    even and above 4, the first to `width` channels, each next one to twice as many, up to 16 * width, and one block
    that keeps the side follows. With width=128 at 32 and 64 at 48 and 128 these are the published networks. There is
    no batch norm. `spectral_norm` and `equalized` constrain the weights, which start as the generator's;
    `minibatch_std` appends the spread of the batch to the features. F = channels of the last block, + 1 for the spread.
    Raises `UserError` for a shape that the generator could not reach, and for a width below 1.
    Source: Miyato et al. 2018, appendix B.4, tables 4 to 6.
    """

    def __init__(
        self, shape: Sequence[int], width: int, spectral_norm: bool, equalized: bool, minibatch_std: bool
    ) -> None:
        super().__init__()
        levels = falling("ResnetDiscriminator", shape, width, "discriminator=mlp")
        self.layers = judging(levels, minibatch_std)
        self.feature_dim = levels[-1].channels + minibatch_std
        self.output = xavier(nn.Linear(self.feature_dim, 1), 1.0)
        constrain(self, spectral_norm, equalized)

    def features(self, examples: Tensor) -> Tensor:
        """(N, C, H, H) in [-1, 1] to (N, F)."""
        return self.layers(examples)


class ResnetEncoder(Encoder):
    """Halves an image by the blocks of `ResnetDiscriminator` and takes the last map, after a ReLU, as features.

    Its maps are the discriminator's, for all sides; F = channels of the last one times its pixels, as a sum over these
    would forget where things are. Where there are `classes`, a one-hot class is appended to the image, as maps.
    Raises `UserError` for a shape that halvings cannot divide, and for sizes below 1.
    The blocks are those of Miyato et al. 2018, appendix B.4; the features are ours.
    """

    def __init__(self, shape: Sequence[int], width: int, classes: int | None) -> None:
        super().__init__()
        image, *levels = falling("ResnetEncoder", shape, width, "encoder=mlp")
        inputs = image.channels + class_inputs("ResnetEncoder", classes)
        self.classes = classes
        self.layers = shrinking([image._replace(channels=inputs), *levels])
        self.layers.extend([nn.ReLU(), nn.Flatten(1)])
        self.feature_dim = levels[-1].channels * levels[-1].side ** 2

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, H, H) in [-1, 1], and labels (N,) where there are classes, to (N, F)."""
        return self.layers(told(examples, labels, self.classes))


def rising(network: str, shape: Sequence[int], width: int) -> list[Level]:
    """The generator's maps, from the smallest to the one of the image's side."""
    count = doublings(network, shape, INSTEAD)
    require_at_least(1, network, width=width)
    side = shape[-1]
    return [Level(side >> power, _channels(side, width, power)) for power in reversed(range(count + 1))]


def falling(network: str, shape: Sequence[int], width: int, remedy: str) -> list[Level]:
    """The image, and the discriminator's map after each block."""
    doublings(network, shape, remedy)
    require_at_least(1, network, width=width)
    channels, side, _ = shape
    levels = [Level(side, channels)]
    for power in range(2 if side <= 32 else _halvings(side)):
        levels.append(Level(side >> power + 1, _channels(side, width, power)))
    kept = Level(levels[-1].side, _channels(side, width, len(levels) - 1))
    return [*levels, *[kept] * (2 if side <= 32 else 1)]


def generating(levels: Sequence[Level], latent_dim: int, channels: int, classes: int | None) -> Chain:
    """Noise (N, latent_dim) to numbers (N, channels, H, H); the map of `levels[i]` comes out of layer i + 1."""
    first, last = levels[0], levels[-1]
    outset = xavier(nn.Linear(latent_dim, first.channels * first.side**2), 1.0)
    layers = Chain([outset, nn.Unflatten(1, (first.channels, first.side, first.side))])
    layers.extend(up(before.channels, after.channels, classes) for before, after in pairwise(levels))
    layers.extend([batch_norm_2d(last.channels, classes), nn.ReLU(), convolution(last.channels, channels, 3, 1.0)])
    return layers


def judging(levels: Sequence[Level], minibatch_std: bool) -> Chain:
    """Images of `levels[0]` to features (N, F); the map of `levels[i]` comes out of layer i - 1."""
    layers = shrinking(levels)
    layers.extend([nn.ReLU(), SumPool(), *([MinibatchStd(group=4)] if minibatch_std else [])])
    return layers


def shrinking(levels: Sequence[Level]) -> Chain:
    """Images of `levels[0]` to the map of `levels[-1]`, a block for each level between."""
    layers = Chain([optimised(levels[0].channels, levels[1].channels)])
    for before, after in pairwise(levels[1:]):
        block = plain if after.side == before.side else down
        layers.append(block(before.channels, after.channels))
    return layers


# A 1x1 convolution commutes with upsampling and with pooling; on the smaller map it costs a quarter.


def up(inputs: int, outputs: int, classes: int | None) -> Residual:
    """The generator's block: (N, inputs, H, W) to (N, outputs, 2 H, 2 W)."""
    branch = [
        batch_norm_2d(inputs, classes),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        convolution(inputs, outputs, 3, GAIN),
    ]
    branch += [batch_norm_2d(outputs, classes), nn.ReLU(), convolution(outputs, outputs, 3, GAIN)]
    return Residual(Chain(branch), nn.Sequential(convolution(inputs, outputs, 1, 1.0), nn.Upsample(scale_factor=2)))


def optimised(inputs: int, outputs: int) -> Residual:
    """The discriminator's first block, for images: (N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
    branch = [convolution(inputs, outputs, 3, GAIN), nn.ReLU(), convolution(outputs, outputs, 3, GAIN), nn.AvgPool2d(2)]
    return Residual(Chain(branch), nn.Sequential(nn.AvgPool2d(2), convolution(inputs, outputs, 1, 1.0)))


def down(inputs: int, outputs: int) -> Residual:
    """The discriminator's block: (N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
    branch = Chain([*_preactivated(inputs, outputs), nn.AvgPool2d(2)])
    return Residual(branch, nn.Sequential(nn.AvgPool2d(2), convolution(inputs, outputs, 1, 1.0)))


def plain(inputs: int, outputs: int) -> Residual:
    """The discriminator's block that keeps the side: (N, inputs, H, W) to (N, outputs, H, W)."""
    shortcut = nn.Identity() if inputs == outputs else convolution(inputs, outputs, 1, 1.0)
    return Residual(Chain(_preactivated(inputs, outputs)), shortcut)


def convolution(inputs: int, outputs: int, kernel: int, gain: float) -> nn.Module:
    """A convolution that keeps the side of its map, `kernel` odd, with Xavier uniform weights and biases 0."""
    return xavier(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), gain)


def xavier(layer: nn.Linear | nn.Conv2d, gain: float) -> nn.Module:
    """The layer with weights drawn from U(-a, a), a = gain sqrt(6 / (fan-in + fan-out)), and biases 0."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _preactivated(inputs: int, outputs: int) -> list[nn.Module]:
    hidden = convolution(inputs, inputs, 3, GAIN)
    return [nn.ReLU(), hidden, nn.ReLU(), convolution(inputs, outputs, 3, GAIN)]


def _channels(side: int, width: int, power: int) -> int:
    return width if side <= 32 else width * min(1 << power, 16)


def _halvings(side: int) -> int:
    return 0 if side % 2 or side <= 4 else 1 + _halvings(side // 2)
