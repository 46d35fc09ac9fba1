"""Images that would not fit as bytes: kept in a shorter form, and made where and when a batch of them is asked for."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import numpy as np
import torch
from torch import Tensor

from duogen.data.splits import Split
from duogen.records import Examples


class Form(ABC):
    """How the examples of a split are made of their codes."""

    shape: tuple[int, ...]

    @abstractmethod
    def __call__(self, codes: Tensor) -> Tensor:
        """Examples (B, *shape) as bytes, from codes (B, ...) on the form's device."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """What the examples depend on beside their codes."""

    @abstractmethod
    def to(self, device: torch.device) -> Self:
        """The form on `device`."""


@dataclass(frozen=True, eq=False)
class CompactSplit(Split):
    """A split whose `values` (N, ...) are codes, of which `form` makes the examples."""

    form: Form

    @property
    def shape(self) -> tuple[int, ...]:
        return self.form.shape

    @property
    def stored(self) -> tuple[Tensor, ...]:
        return (*super().stored, *self.form.tensors)

    def to(self, device: torch.device) -> Self:
        return replace(super().to(device), form=self.form.to(device))

    def rows(self, index: Tensor) -> Split:
        codes = super().rows(index)
        return Split(self.form(codes.values), codes.labels)

    def examples(self) -> Examples:
        return Split(self.form(self.values), self.labels).examples()


@dataclass(frozen=True, eq=False)
class Bits(Form):
    """Black and white images, eight pixels a byte: codes (B, ceil(CHW / 8)), the first pixel in the highest bit."""

    shape: tuple[int, ...]

    def __call__(self, codes: Tensor) -> Tensor:
        place = torch.arange(7, -1, -1, device=codes.device, dtype=torch.uint8)
        bits = codes.unsqueeze(2).bitwise_right_shift(place).bitwise_and_(1)
        return bits.flatten(1)[:, : prod(self.shape)].mul(255).view(-1, *self.shape)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return ()

    def to(self, device: torch.device) -> Self:
        return self


def bits(images: np.ndarray) -> np.ndarray:
    """The codes (N, ceil(P / 8)) of images (N, P), in which any value but 0 is white."""
    return np.packbits(images, axis=1)


@dataclass(frozen=True, eq=False)
class Pasted(Form):
    """Sprites on a black ground: codes (B,) are (s X + x) Y + y for sprite s at place (x, y).

    `sprites` (S, P, Q) are bytes; a sprite begins in column `lefts` (X,) and row `tops` (Y,) of the image.
    """

    shape: tuple[int, ...]
    sprites: Tensor
    lefts: Tensor
    tops: Tensor

    def __call__(self, codes: Tensor) -> Tensor:
        rest, y = codes // len(self.tops), codes % len(self.tops)
        sprite, x = rest // len(self.lefts), rest % len(self.lefts)
        down, across = (torch.arange(side, device=codes.device) for side in self.sprites.shape[1:])
        rows, columns = self.tops[y][:, None] + down, self.lefts[x][:, None] + across
        places = rows[:, :, None] * self.shape[2] + columns[:, None, :]
        ground = self.sprites.new_zeros(len(codes), prod(self.shape))
        return ground.scatter_(1, places.flatten(1), self.sprites[sprite].flatten(1)).view(-1, *self.shape)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.sprites, self.lefts, self.tops

    def to(self, device: torch.device) -> Self:
        sprites, lefts, tops = (tensor.to(device) for tensor in self.tensors)
        return replace(self, sprites=sprites, lefts=lefts, tops=tops)
