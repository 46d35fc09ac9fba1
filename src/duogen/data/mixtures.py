"""Gaussian mixtures in the plane, whose modes a generator can be seen to cover or to drop."""

from collections.abc import Mapping, Sequence

import torch

from duogen.data.examples import ExamplesData
from duogen.data.order import seeded
from duogen.data.splits import Split


class GaussianMixture(ExamplesData):
    """K components of equal weight, x ~ N(mu_k, std^2 I) with x (D,); the label is the component k.

    The training points are fixed: they depend on `points_seed`, never on the run's seed. Validation and test are fresh
    draws.

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
        super().__init__(shape, classes, batch_size, workers, seed)
        self.means, self.std = torch.tensor(means, dtype=torch.float32), std
        self.points_seed = points_seed
        self.sizes = {"train": train_size, "validate": evaluation_size, "test": evaluation_size}

    def load(self) -> Mapping[str, Split]:
        return {name: self._drawn(name, size) for name, size in self.sizes.items()}

    def _drawn(self, name: str, size: int) -> Split:
        generator = seeded(self.points_seed, name)
        labels = torch.randint(len(self.means), (size,), generator=generator)
        noise = torch.randn(size, self.means.shape[1], generator=generator)
        return Split(self.means[labels] + self.std * noise, labels)
