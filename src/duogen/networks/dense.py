"""Fully connected networks, for vectors (D,) and for images (C, H, W)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.decoder import Decoder
from duogen.networks.discriminator import Discriminator
from duogen.networks.encoder import Encoder
from duogen.networks.generator import Generator
from duogen.networks.layers import MinibatchStd, constrain


def require_share(network: str, dropout: float) -> None:
    """Raise `UserError` for a share of dropped units outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise UserError(f"{network}: dropout={dropout}", "0 or more, less than 1", "e.g. dropout=0.3, or 0.0 for none")


def leaky(dropout: float) -> nn.Module:
    """LeakyReLU(0.2), followed by dropout where some is asked for."""
    return nn.Sequential(nn.LeakyReLU(0.2), nn.Dropout(dropout)) if dropout else nn.LeakyReLU(0.2)


class MlpGenerator(Generator):
    """Maps noise to an example through `depth` hidden layers of `width` ReLU units.

    Images end in tanh and lie in [-1, 1]; vectors end in a linear layer and are unbounded. Depth 0 is one affine map.
    `batch_norm` follows every hidden layer's affine map. Where there are `classes`, an embedding of the class, of
    latent_dim numbers, is appended to the noise (Mirza and Osindero 2014, section 3.2). Weights start from
    N(0, initial_std^2) and biases from 0, or as torch draws them where that is null.
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below their least.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        width: int,
        depth: int,
        batch_norm: bool,
        initial_std: float | None,
        classes: int | None,
    ) -> None:
        super().__init__()
        _check("MlpGenerator", shape, width, depth)
        require_at_least(1, "MlpGenerator", latent_dim=latent_dim)
        self.classes = None if classes is None else nn.Embedding(classes, latent_dim)
        inputs = latent_dim if classes is None else 2 * latent_dim
        sizes = [inputs, *[width] * depth]
        self.layers = nn.Sequential()
        for pair in pairwise(sizes):
            self.layers.extend([nn.Linear(*pair), *([nn.BatchNorm1d(width)] if batch_norm else []), nn.ReLU()])
        self.layers.extend([nn.Linear(sizes[-1], math.prod(shape)), nn.Unflatten(1, tuple(shape))])
        self.squash = nn.Tanh() if len(shape) == 3 else nn.Identity()
        _initialise(self.layers, initial_std)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), labels (N,) where there are classes, to (N, C, H, W) in [-1, 1], or to (N, D)."""
        if self.classes is not None:
            latent = torch.cat([latent, self.classes(labels)], 1)
        return self.squash(self.layers(latent))


class MlpDiscriminator(Discriminator):
    """Maps an example to one logit through `depth` hidden layers of `width` LeakyReLU(0.2) units.

    Each hidden unit is dropped with probability `dropout`, in [0, 1) (Srivastava et al. 2014; in Goodfellow et al. 2014
    here). `minibatch_std` appends the spread of the batch to the last hidden layer; `spectral_norm` and `equalized`
    constrain the weights. Depth 0 is one affine map.
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below their least.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        depth: int,
        dropout: float,
        spectral_norm: bool,
        equalized: bool,
        minibatch_std: bool,
    ) -> None:
        super().__init__()
        _check("MlpDiscriminator", shape, width, depth)
        require_share("MlpDiscriminator", dropout)
        sizes = [math.prod(shape), *[width] * depth]
        self.layers = nn.Sequential(nn.Flatten(1))
        for pair in pairwise(sizes):
            self.layers.extend([nn.Linear(*pair), leaky(dropout)])
        if minibatch_std:
            self.layers.append(MinibatchStd(group=4))
        self.feature_dim = sizes[-1] + minibatch_std
        self.output = nn.Linear(self.feature_dim, 1)
        constrain(self, spectral_norm, equalized)

    def features(self, examples: Tensor) -> Tensor:
        return self.layers(examples)


class MlpEncoder(Encoder):
    """Maps an example to features through `depth` hidden layers of `width` units, F = `width`.

    Where there are `classes`, a one-hot class is appended to the example (Sohn et al. 2015).
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below 1.
    """

    def __init__(
        self, shape: Sequence[int], width: int, depth: int, activation: nn.Module, classes: int | None
    ) -> None:
        super().__init__()
        require_shape("MlpEncoder", shape)
        require_at_least(1, "MlpEncoder", width=width, depth=depth)
        inputs = math.prod(shape) + class_inputs("MlpEncoder", classes)
        self.classes, self.feature_dim = classes, width
        self.layers = hidden([inputs, *[width] * depth], activation)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape), and labels (N,) where there are classes, to (N, width)."""
        return self.layers(told(examples.flatten(1), labels, self.classes))


class MlpDecoder(Decoder):
    """Maps a code to the numbers of an example through `depth` hidden layers of `width` units.

    Where there are `classes`, a one-hot class is appended to the code (Sohn et al. 2015).
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below their least.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        width: int,
        depth: int,
        activation: nn.Module,
        classes: int | None,
    ) -> None:
        super().__init__()
        _check("MlpDecoder", shape, width, depth)
        require_at_least(1, "MlpDecoder", latent_dim=latent_dim)
        self.classes = classes
        sizes = [latent_dim + class_inputs("MlpDecoder", classes), *[width] * depth]
        self.layers = hidden(sizes, activation)
        self.layers.extend([nn.Linear(sizes[-1], math.prod(shape)), nn.Unflatten(1, tuple(shape))])

    def forward(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), and labels (N,) where there are classes, to (N, *shape), unbounded."""
        return self.layers(told(code, labels, self.classes))


class Maxout(nn.Module):
    """Linear maps to `pieces` candidates for each of `outputs` units, of which the largest is taken: (N, I) to (N, O).

    Source: Goodfellow et al. 2013, eq. 1.
    """

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__()
        self.pieces, self.linear = pieces, nn.Linear(inputs, outputs * pieces)

    def forward(self, values: Tensor) -> Tensor:
        return self.linear(values).unflatten(1, (self.pieces, -1)).amax(1)


class MaxoutDiscriminator(Discriminator):
    """Maps an example to one logit through `depth` maxout layers of `width` units with `pieces` linear pieces each.

    Weights start from N(0, initial_std^2) and biases from 0, or as torch draws them where that is null.
    Raises `UserError` for a shape that is neither (D,) nor (C, H, W), and for sizes below their least.
    Source: Goodfellow et al. 2014, section 5; Lin et al. 2018 (PacGAN), section 4.1, whose discriminator this is.
    """

    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        depth: int,
        pieces: int,
        initial_std: float | None,
        spectral_norm: bool,
        equalized: bool,
        minibatch_std: bool,
    ) -> None:
        super().__init__()
        _check("MaxoutDiscriminator", shape, width, depth)
        require_at_least(1, "MaxoutDiscriminator", pieces=pieces)
        sizes = [math.prod(shape), *[width] * depth]
        self.layers = nn.Sequential(nn.Flatten(1), *(Maxout(*pair, pieces) for pair in pairwise(sizes)))
        if minibatch_std:
            self.layers.append(MinibatchStd(group=4))
        self.feature_dim = sizes[-1] + minibatch_std
        self.output = nn.Linear(self.feature_dim, 1)
        _initialise(self, initial_std)
        constrain(self, spectral_norm, equalized)

    def features(self, examples: Tensor) -> Tensor:
        return self.layers(examples)


def told(values: Tensor, labels: Tensor | None, classes: int | None) -> Tensor:
    """Values (N, I) or (N, I, H, W) with the class of each row, one-hot, appended: (N, I + K) or (N, I + K, H, W).

    They stay as they are where there are no classes. Raises `UserError` where there are, and no labels are given.
    """
    if classes is None:
        return values
    if labels is None:
        given = f"a network of {classes} classes, and examples without labels"
        raise UserError(given, "one label for each example", "use a conditional model, or set classes=null")
    known = torch.eye(classes, dtype=values.dtype, device=values.device)[labels]
    maps = known.view(*known.shape, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:])
    return torch.cat([values, maps], 1)


def class_inputs(network: str, classes: int | None) -> int:
    """How many inputs `told` appends. Raises `UserError` for fewer than 1 class."""
    require_at_least(1, network, classes=1 if classes is None else classes)
    return classes or 0


def hidden(sizes: Sequence[int], activation: nn.Module) -> nn.Sequential:
    """An affine map from each size to the next, each followed by the activation: (N, first) to (N, last)."""
    return nn.Sequential(*(layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), activation)))


def require_shape(network: str, shape: Sequence[int]) -> None:
    """Raise `UserError` for a shape that is neither (D,) nor (C, H, W)."""
    if len(shape) not in (1, 3) or min(shape) < 1:
        given, allowed = f"{network}: shape {tuple(shape)}", "(D,) or (C, H, W), every size at least 1"
        raise UserError(given, allowed, "give the shape of one example, without the batch")


def _initialise(network: nn.Module, std: float | None) -> None:
    for layer in network.modules():
        if std is not None and isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
            nn.init.zeros_(layer.bias)


def _check(network: str, shape: Sequence[int], width: int, depth: int) -> None:
    require_shape(network, shape)
    require_at_least(1, network, width=width)
    require_at_least(0, network, depth=depth)
