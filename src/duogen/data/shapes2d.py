"""White shapes on black whose form, size, turn and place are known: drawn by formulas, no download."""

from math import pi

import torch
from torch import Tensor

from duogen.data.compact import CompactSplit, Pasted
from duogen.data.factors import FactorGrid
from duogen.data.splits import Split
from duogen.errors import UserError

FACTORS = ("shape", "scale", "orientation", "position_x", "position_y")


def square(x: Tensor, y: Tensor) -> Tensor:
    """max(|x|, |y|) <= 0.7"""
    return torch.maximum(x.abs(), y.abs()) <= 0.7


def ellipse(x: Tensor, y: Tensor) -> Tensor:
    """(x / 0.97)^2 + (y / 0.53)^2 <= 1"""
    return (x / 0.97).square() + (y / 0.53).square() <= 1


def heart(x: Tensor, y: Tensor) -> Tensor:
    """(a^2 + b^2 - 1)^3 <= a^2 b^3 with a = 1.4 x, b = 1.4 y + 0.15"""
    a, b = 1.4 * x, 1.4 * y + 0.15
    return (a.square() + b.square() - 1) ** 3 <= a.square() * b**3


SHAPES = (square, ellipse, heart)


class Shapes2d(FactorGrid):
    """Black and white images (1, H, W) on the factor grid of dSprites, with other pixels.

    A shape, square, ellipse or heart, lies within the unit circle around its centre, its own y upwards. It is made
    smaller by a scale evenly spaced from 0.5 to 1, turned by 2 pi i / n anticlockwise for orientation i of n, and its
    unit circle is given a diameter of P, half the image's shorter side. A pixel is white where its centre lies inside.
    The square P x P with the shape then moves in steps of whole pixels, evenly spaced and as far as they go: x to the
    right, y downwards. Squares look the same after a quarter turn and ellipses after a half, as those of dSprites do.
    Only the shapes are drawn beforehand, 720 by default; a batch is pasted when it is asked for.

    Args:
        factors: how many values `shape` (1 to 3), `scale`, `orientation`, `position_x` and `position_y` take.
        validate_size: images of the validation split.
        test_size: images of the test split.
        split_seed: of both choices.

    Reference: Matthey, Higgins, Hassabis & Lerchner 2017 (dSprites), for the factors and their sizes.
    """

    def grid(self) -> Split:
        _, height, width = self.shape
        side = min(height, width) // 2
        shapes, scales, orientations, columns, rows = (self.factors[name] for name in FACTORS)
        sprites = drawn(shapes, scales, orientations, side)
        lefts = begins(columns, width, side)
        tops = begins(rows, height, side)
        labels = torch.arange(self.label_count)
        return CompactSplit(labels, labels, Pasted(self.shape, sprites, lefts, tops))

    def _refuse_odd(self) -> None:
        super()._refuse_odd()
        if len(self.shape) != 3 or self.shape[0] != 1 or min(self.shape[1:]) < 8:
            raise UserError(
                f"data.shape={list(self.shape)}", "[1, H, W] with sides of 8 or more", "data.shape=[1,64,64]"
            )
        if tuple(self.factors) != FACTORS:
            raise UserError(f"data.factors has {', '.join(self.factors)}", f"{', '.join(FACTORS)}", "name these")
        side = min(self.shape[1:]) // 2
        most = {"shape": 3, "position_x": self.shape[2] - side + 1, "position_y": self.shape[1] - side + 1}
        for name, limit in most.items():
            if self.factors[name] > limit:
                raise UserError(f"data.factors.{name}={self.factors[name]}", f"1 to {limit}", "take fewer")


def drawn(shapes: int, scales: int, orientations: int, side: int) -> Tensor:
    """The sprites (shapes * scales * orientations, side, side) as bytes 0 and 255, the orientation fastest."""
    centre = (torch.arange(side, dtype=torch.float64) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(-centre, centre, indexing="ij")
    turn = (2 * pi / orientations * torch.arange(orientations, dtype=torch.float64))[:, None, None]
    scale = torch.linspace(1, 0.5, scales, dtype=torch.float64).flip(0)[:, None, None, None]
    along, across = turn.cos() * x + turn.sin() * y, turn.cos() * y - turn.sin() * x
    inside = torch.stack([shape(along / scale, across / scale) for shape in SHAPES[:shapes]])
    return inside.flatten(0, 2).to(torch.uint8) * 255


def begins(count: int, side: int, width: int) -> Tensor:
    """Where `count` squares of `width` pixels begin on a side, evenly spaced in whole pixels, as a whole centred."""
    step = (side - width) // max(count - 1, 1)
    first = (side - width - step * (count - 1)) // 2
    return first + step * torch.arange(count)
