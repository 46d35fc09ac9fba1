"""Convolutional encoders and decoders for images (C, H, W) of any sides, in the manner of beta-VAE."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn

from duogen.errors import UserError, require_at_least
from duogen.networks.decoder import Decoder
from duogen.networks.dense import class_inputs, hidden, told
from duogen.networks.encoder import Encoder


class ConvEncoder(Encoder):
    """Halves an image once for each of `widths`, by strided convolutions, then passes layers of `hidden_widths` units.

    Sides are rounded up where they are odd, 28 to 14, 7, 4; `kernel` is even. `activation` follows every layer, and
    batch norm, where asked for, every convolution. F is the last of `hidden_widths`, or, without these, the last of
    `widths` times the pixels of the last map. Where there are `classes`, a one-hot class is appended to the image, as
    maps.
    Raises `UserError` for a shape other than (C, H, W), more halvings than sides allow, an odd kernel, sizes below 1.
    Source: Higgins et al. 2017, table 1 (widths 32, 32, 64, 64, hidden 256); Burgess et al. 2018, appendix A (widths
    32 four times, hidden 256, 256); Ghosh et al. 2020, appendix (widths 128 to 1,024, batch norm, no hidden layer).
    """

    def __init__(
        self,
        shape: Sequence[int],
        widths: Sequence[int],
        kernel: int,
        hidden_widths: Sequence[int],
        batch_norm: bool,
        activation: nn.Module,
        classes: int | None,
    ) -> None:
        super().__init__()
        sides = halved("ConvEncoder", shape, widths, "encoder")
        _check("ConvEncoder", kernel, hidden_widths)
        self.classes = classes
        channels = [shape[0] + class_inputs("ConvEncoder", classes), *widths]
        self.layers = nn.Sequential()
        for pair, side in zip(pairwise(channels), sides[:-1], strict=True):
            convolution = nn.Conv2d(*pair, kernel, 2, _padding(kernel, side), bias=not batch_norm)
            self.layers.extend([convolution, *_norm(pair[1], batch_norm), activation])
        flat = widths[-1] * math.prod(sides[-1])
        self.layers.extend([nn.Flatten(1), *hidden([flat, *hidden_widths], activation)])
        self.feature_dim = [flat, *hidden_widths][-1]

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, H, W) in [-1, 1], and labels (N,) where there are classes, to (N, F)."""
        return self.layers(told(examples, labels, self.classes))


class ConvDecoder(Decoder):
    """The mirror of `ConvEncoder`: layers of `hidden_widths` units, an affine map to a map, then one doubling a width.

    `widths` are read from the image inwards, as the encoder's, `hidden_widths` from the code on. `activation` follows
    every layer but the last, and batch norm, where asked for, comes before it on every map. Where there are `classes`,
    a one-hot class is appended to the code.
    Raises `UserError` as the encoder does. Source: as the encoder's.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int,
        widths: Sequence[int],
        kernel: int,
        hidden_widths: Sequence[int],
        batch_norm: bool,
        activation: nn.Module,
        classes: int | None,
    ) -> None:
        super().__init__()
        sides = halved("ConvDecoder", shape, widths, "decoder")
        _check("ConvDecoder", kernel, hidden_widths)
        require_at_least(1, "ConvDecoder", latent_dim=latent_dim)
        self.classes = classes
        sizes = [latent_dim + class_inputs("ConvDecoder", classes), *hidden_widths]
        first = (widths[-1], *sides[-1])
        self.layers = hidden(sizes, activation)
        self.layers.extend([nn.Linear(sizes[-1], math.prod(first)), nn.Unflatten(1, first)])
        for pair, side in zip(pairwise([*widths[::-1], shape[0]]), sides[-2::-1], strict=True):
            self.layers.extend([*_norm(pair[0], batch_norm), activation])
            self.layers.append(nn.ConvTranspose2d(*pair, kernel, 2, _padding(kernel, side), _odd(side)))

    def forward(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent_dim), and labels (N,) where there are classes, to (N, C, H, W), unbounded."""
        return self.layers(told(code, labels, self.classes))


def halved(network: str, shape: Sequence[int], widths: Sequence[int], role: str) -> list[tuple[int, int]]:
    """The sides (H, W) of an image, and of the map after each of as many halvings, rounded up, as there are widths.

    Raises `UserError`, in the name of `network`, for other shapes, no widths, and more than bring a side to 1.
    """
    if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 2:
        given, allowed = f"{network}: shape {tuple(shape)}", "images (C, H, W) of at least 2 x 2 pixels"
        raise UserError(given, allowed, f"use {role}=mlp, or data of images")
    _, rows, columns = shape
    most = (min(rows, columns) - 1).bit_length()
    if not 1 <= len(widths) <= most:
        given = f"{network}: widths={list(widths)} for images of {rows}x{columns}"
        fitting = ",".join(map(str, widths[:most])) or "32"
        raise UserError(given, f"1 to {most} widths, each of which halves the image", f"{role}.widths=[{fitting}]")
    require_at_least(1, network, widths=min(widths))
    return list(_sides(rows, columns, len(widths)))


def _sides(rows: int, columns: int, count: int) -> Iterator[tuple[int, int]]:
    for _ in range(count + 1):
        yield rows, columns
        rows, columns = -(-rows // 2), -(-columns // 2)


def _odd(side: tuple[int, int]) -> tuple[int, int]:
    return side[0] % 2, side[1] % 2


def _padding(kernel: int, side: tuple[int, int]) -> tuple[int, int]:
    rows, columns = _odd(side)
    return kernel // 2 - 1 + rows, kernel // 2 - 1 + columns


def _norm(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels)] if batch_norm else []


def _check(network: str, kernel: int, hidden_widths: Sequence[int]) -> None:
    require_at_least(1, network, hidden_widths=min(hidden_widths, default=1))
    if kernel < 2 or kernel % 2:
        given, allowed = f"{network}: kernel={kernel}", "even numbers of at least 2, which a stride of 2 covers evenly"
        raise UserError(given, allowed, "set kernel to 4")
