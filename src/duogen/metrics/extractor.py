"""What stands between examples and a metric: a frozen network whose features are compared."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn


@dataclass(frozen=True)
class Extracted:
    """What a metric sees of a batch: `features` (N, F) in float32, `logits` (N, K) where the extractor has classes."""

    features: Tensor
    logits: Tensor | None


class Extractor(nn.Module, ABC):
    """A frozen network from examples (N, *shape) in [-1, 1] to features (N, F), always in eval mode.

    Weights are checked where it is built and loaded where it is first used, so that building costs nothing and a
    missing file fails before any training.

    `name`: as the values of its metrics are named, such as `lenet`, `inception`, `dinov2`, `pixels`; `feature_dim`: F;
    `classes`: K, or None where it has no classes.
    """

    name: str
    feature_dim: int
    classes: int | None

    @abstractmethod
    def forward(self, values: Tensor) -> Extracted:
        """Features and logits of `values` (N, *shape) in [-1, 1], on any device and on that device."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """What must be equal for two features to be compared, in plain JSON values.

        The name, the space, the sha256 of the weights, the resize rule, the accuracy where it classifies.
        """

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever is asked, since a metric may not depend on the phase of a run."""
        return super().train(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: a frozen network needs no copy."""
        return self
