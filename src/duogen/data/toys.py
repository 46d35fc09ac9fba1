"""Laws in the plane that are no mixture of blobs: a curve, two arcs, and squares with sharp edges."""

import math
from collections.abc import Sequence

import torch
from torch import Generator

from duogen.data.points import PointsData
from duogen.data.splits import Split
from duogen.errors import UserError


class SwissRoll(PointsData):
    """A spiral of two turns, x = scale t (cos t, sin t) + std e, with t = 3 pi / 2 (1 + 2 u), u ~ U[0, 1), e ~ N(0, I).

    The outermost point lies at scale 9 pi / 2 from the origin, about 14.1 scale. No labels.

    Args:
        scale: the distance from the origin at t = 1.
        std: standard deviation of the noise in both dimensions.

    References: Marsland 2009, the roll without its third dimension; Gulrajani et al. 2017 (WGAN-GP), section 4 and
    figure 1, as a toy.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        scale: float,
        std: float,
        train_size: int,
        evaluation_size: int,
        points_seed: int,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, train_size, evaluation_size, points_seed)
        self.scale, self.std = scale, std

    def draw(self, count: int, generator: Generator) -> Split:
        angle = 1.5 * math.pi * (1 + 2 * torch.rand(count, generator=generator))
        curve = angle.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], 1)
        return Split(self.scale * curve + self.std * torch.randn(count, 2, generator=generator), None)


class TwoMoons(PointsData):
    """Two half circles that reach into each other, with a ~ U[0, pi) and e ~ N(0, I); the label k is the moon.

    Moon 0: x = (cos a, sin a) + std e. Moon 1: x = (1 - cos a, 1/2 - sin a) + std e.

    Args:
        std: standard deviation of the noise in both dimensions.

    Reference: Pedregosa et al. 2011 (scikit-learn), `make_moons`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        std: float,
        train_size: int,
        evaluation_size: int,
        points_seed: int,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, train_size, evaluation_size, points_seed)
        self.std = std

    def draw(self, count: int, generator: Generator) -> Split:
        labels = torch.randint(2, (count,), generator=generator)
        angle, moon = math.pi * torch.rand(count, generator=generator), labels.float()
        sign = 1 - 2 * moon
        arcs = torch.stack([moon + sign * angle.cos(), moon / 2 + sign * angle.sin()], 1)
        return Split(arcs + self.std * torch.randn(count, 2, generator=generator), labels)


class Checkerboard(PointsData):
    """Uniform on the squares (i, j) with i + j even of a board of n x n squares around the origin.

    x = side ((j, i) - n / 2 + u), u ~ U[0, 1)^2, with row i and column j; the label k = i n / 2 + floor(j / 2) is the
    square, one of n^2 / 2.

    Args:
        squares: n, the even number of squares on each side of the board.
        side: the length of a square's side.

    Reference: Grathwohl et al. 2019 (FFJORD), section 4.1, figure 2.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        squares: int,
        side: float,
        train_size: int,
        evaluation_size: int,
        points_seed: int,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, train_size, evaluation_size, points_seed)
        if squares < 2 or squares % 2:
            raise UserError(f"data.squares={squares}", "an even number, 2 or more", "data.squares=4 is the usual board")
        self.squares, self.side = squares, side

    def draw(self, count: int, generator: Generator) -> Split:
        half = self.squares // 2
        labels = torch.randint(self.squares * half, (count,), generator=generator)
        row = labels // half
        corner = torch.stack([2 * (labels % half) + row % 2, row], 1) - half
        return Split(self.side * (corner + torch.rand(count, 2, generator=generator)), labels)
