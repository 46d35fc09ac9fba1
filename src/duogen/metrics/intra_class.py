"""The Frechet distance within each class."""

from typing import Any

import torch
from torch import Tensor

from duogen.errors import UserError
from duogen.metrics.extractor import Extractor
from duogen.metrics.frechet import Frechet, between


class IntraClassFrechet(Frechet):
    """The mean over the classes c of d^2(generated of class c, real of class c), which sees collapse within a class.

    Value `intra_class_frechet_<extractor>`, `intra_fid` on Inception: a squared distance in units of the features. A
    generated example's class is the one that the model was told. All classes of the real side weigh alike. With no more
    examples of a class than features its covariance is singular: that is remarked on, and stands in the protocol.

    `extractor`: of the features. Raises UserError at `compute` where a side has no labels, or a class fewer than 2
    examples. Miyato & Koyama 2018, section 5.
    """

    name = "intra_class_frechet"
    each = " of each class"
    on_inception = "intra_fid"

    def __init__(self, extractor: Extractor) -> None:
        super().__init__(extractor)
        self._least = 0

    @property
    def least(self) -> int:
        return self._least

    def values(self) -> dict[str, Tensor]:
        generated, real = self.labelled()
        classes = real.unique().tolist()
        counts = {label: min(int((labels == label).sum()) for labels in (generated, real)) for label in classes}
        for label, count in counts.items():
            if count < 2:
                given = f"{self.name} was computed from {count} example(s) of class {label} on one side"
                raise UserError(given, "at least 2 of each class on each side", "evaluate on more examples")
        self._least = min(counts.values())
        sides = self.collected
        distances = [between(sides.generated.of_class(label), sides.real.of_class(label)) for label in classes]
        return {self.title: torch.stack(distances).mean()}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"estimator": "Gaussian moments in float64 by class, mean over classes"}
