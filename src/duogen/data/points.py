"""The data module of every set of points that a formula draws."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from torch import Generator

from duogen.data.examples import ExamplesData
from duogen.data.order import seeded
from duogen.data.splits import Split


class PointsData(ExamplesData):
    """Points (D,) drawn from a law that is known.

    The training points are fixed: they depend on `points_seed`, never on the run's seed. Validation and test are fresh
    draws.

    Args:
        train_size: number of training points.
        evaluation_size: number of validation points, and of test points.
        points_seed: of all points.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        train_size: int,
        evaluation_size: int,
        points_seed: int,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed)
        self.points_seed = points_seed
        self.sizes = {"train": train_size, "validate": evaluation_size, "test": evaluation_size}

    @abstractmethod
    def draw(self, count: int, generator: Generator) -> Split:
        """Points (count, D) of the law, and labels (count,) or None."""

    def load(self) -> Mapping[str, Split]:
        return {name: self.draw(size, seeded(self.points_seed, name)) for name, size in self.sizes.items()}
