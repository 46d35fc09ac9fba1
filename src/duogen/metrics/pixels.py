"""The examples themselves as features."""

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.extractor import Extracted, Extractor


class Pixels(Extractor):
    """The flattened values of images or vectors, unchanged, as float32; no classes.

    Args:
        shape: of one example, (C, H, W) or (D,).

    Raises:
        UserError: at the first batch, where examples have another shape.
    """

    name = "pixels"
    classes = None

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.eval()
        self.shape, self.feature_dim = tuple(shape), prod(shape)

    def forward(self, values: Tensor) -> Extracted:
        if tuple(values.shape[1:]) != self.shape:
            given = f"extractor=pixels was given examples of shape {tuple(values.shape[1:])}"
            raise UserError(given, f"{self.shape}", "build it with the shape of the data: shape=${data.shape}")
        return Extracted(values.detach().float().flatten(1), None)

    def protocol(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "space": "values in [-1, 1]" if len(self.shape) == 3 else "coordinates",
            "input": list(self.shape),
            "quantised": False,
            "resize": None,
            "weights_sha256": None,
            "accuracy": None,
        }
