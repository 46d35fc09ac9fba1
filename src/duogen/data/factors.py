"""Images of every combination of known factors, so that what a code says of each factor can be measured."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import prod

from torch import Tensor

from duogen.data.examples import ExamplesData
from duogen.data.order import permutation
from duogen.data.splits import Split
from duogen.data.transforms import Transform
from duogen.errors import UserError


class FactorGrid(ExamplesData):
    """Images (1, H, W), one for each combination of the factors' values; the label is the combination.

    Label l counts the combinations in row-major order, the last factor fastest: numpy.unravel_index(l, sizes) are the
    values of all factors. There are no classes. All images are for training, as Locatello et al. 2019 train; those for
    validation and for testing are random choices of the same images, a function of `split_seed` alone. So a network has
    seen them: a score on them is one of description, not of generalisation.

    Args:
        classes: None.
        factors: how many values each factor takes, by name, each >= 1.
        validate_size: images of the validation split, 1 to the whole grid.
        test_size: images of the test split, 1 to the whole grid.
        split_seed: of both choices.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        transforms: Sequence[Transform],
        evaluation_size: int | None,
        factors: Mapping[str, int],
        validate_size: int,
        test_size: int,
        split_seed: int,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, transforms, evaluation_size)
        self.factors, self.split_seed = dict(factors), split_seed
        self.sizes = {"validate": validate_size, "test": test_size}
        self._refuse_odd()

    @abstractmethod
    def grid(self) -> Split:
        """All images in the order of their labels, which are 0, 1, 2, ...; each with its label."""

    @property
    def label_count(self) -> int:
        return prod(self.factors.values())

    def load(self) -> Mapping[str, Split]:
        whole = self.grid()
        return {"train": whole} | {name: whole.rows(self._choice(name)) for name in self.sizes}

    def _choice(self, name: str) -> Tensor:
        return permutation(self.split_seed, name, 0, self.label_count)[: self.sizes[name]]

    def _refuse_odd(self) -> None:
        if self.classes is not None:
            remedy = "leave data.classes=null; metrics read data.factors"
            raise UserError(f"data.classes={self.classes}", "null: the labels are places in the grid", remedy)
        if wrong := [f"{name}: {size}" for name, size in self.factors.items() if size < 1]:
            raise UserError(f"data.factors={{{', '.join(wrong)}}}", "1 or more values of each factor", "correct it")
        for name, size in self.sizes.items():
            if not 1 <= size <= self.label_count:
                allowed = f"1 to {self.label_count}, all images of the grid"
                raise UserError(f"data.{name}_size={size}", allowed, "change it")
