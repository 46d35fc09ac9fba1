"""Gaussian mixtures in the plane, whose modes a generator can be seen to cover or to drop."""

from collections.abc import Sequence

import torch
from torch import Generator

from duogen.data.points import PointsData
from duogen.data.splits import Split


class GaussianMixture(PointsData):
    """K components of equal weight, x ~ N(mu_k, std^2 I) with x (D,); the label is the component k.

    Args:
        means: the K means mu_k, each (D,).
        std: standard deviation in every dimension.
        train_size: number of training points.
        evaluation_size: number of validation points, and of test points.
        points_seed: of all points.

    Reference: Lin, Khetan, Fanti & Oh 2018 (PacGAN), section 4.1, after Srivastava et al. 2017 (VEEGAN).
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        means: Sequence[Sequence[float]],
        std: float,
        train_size: int,
        evaluation_size: int,
        points_seed: int,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, train_size, evaluation_size, points_seed)
        self.means, self.std = torch.tensor(means, dtype=torch.float32), std

    def draw(self, count: int, generator: Generator) -> Split:
        labels = torch.randint(len(self.means), (count,), generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator)
        return Split(self.means[labels] + self.std * noise, labels)
