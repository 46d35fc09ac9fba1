"""What every likelihood offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution


class Likelihood(nn.Module, ABC):
    """p(x | z) from a decoder's numbers, `outputs` of them for each value of an example of `shape`.

    Examples come as data modules give them, images in [-1, 1]; each likelihood has a support of its own, to which
    `prepared` brings them. `level` is the width of one grey level in that support, by which a density becomes a
    probability, or None where p(x | z) is a probability already and where values have no levels.
    """

    outputs: int
    level: float | None = None

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @abstractmethod
    def forward(self, numbers: Tensor) -> Distribution:
        """Numbers (..., m C, H, W) or (..., m D), m = `outputs`, to a distribution over examples.

        Its batch shape is that of the dots, its event shape (C, H, W) or (D,). The m numbers of a value stand C, or D,
        apart: `numbers.unflatten(-len(shape), (m, -1))`.
        """

    @abstractmethod
    def prepared(self, examples: Tensor) -> Tensor:
        """Examples (N, *shape), images in [-1, 1], in the support; what it draws is of the default generator."""

    def inputs(self, examples: Tensor) -> Tensor:
        """What an encoder reads of examples (N, *shape), of the same shape.

        Where a value in [0, 1] is a probability, black is 0: a pixel that is always black then moves no unit, where at
        -1 the weights of all of them would act as one bias with as many times its learning rate.
        """
        return examples

    @abstractmethod
    def shown(self, distribution: Distribution) -> Tensor:
        """The mean of p(x | z) as examples (..., *shape), images in [-1, 1]."""
