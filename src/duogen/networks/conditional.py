"""What else is read off a discriminator's features: how well a class fits, which class it is, and the code."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from duogen.errors import UserError, require_at_least


class Reader(nn.Module, ABC):
    """Wraps a discriminator and reads more than its logit off its features (N, F).

    Raises `UserError` for a network that lacks `features`, `feature_dim` or `output`.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        missing = [name for name in ("features", "feature_dim", "output") if not hasattr(discriminator, name)]
        if missing:
            given = f"{type(self).__name__}: {type(discriminator).__name__} without {', '.join(missing)}"
            allowed = (
                "networks that map examples to `features` (N, `feature_dim`), and these by `output` to logits (N, 1)"
            )
            raise UserError(given, allowed, "derive it from duogen.networks.discriminator.Discriminator")
        self.discriminator: Any = discriminator
        self.feature_dim: int = self.discriminator.feature_dim

    @abstractmethod
    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Examples (N, *shape), and labels (N,) where it looks at them, to what is read."""

    def features(self, examples: Tensor) -> Tensor:
        """(N, *shape) to (N, F)."""
        return self.discriminator.features(examples)


class Projection(Reader):
    """The logit plus how well the features fit the class: output(phi(x)) + v_y . phi(x).

    The embeddings v_y (F,) start Xavier uniform; `spectral_norm` divides their matrix by its largest singular value.
    Raises `UserError` for networks without features, fewer than 2 classes, and where no labels are given.
    Source: Miyato and Koyama 2018, eq. 3.
    """

    def __init__(self, discriminator: nn.Module, classes: int, spectral_norm: bool) -> None:
        super().__init__(discriminator)
        require_at_least(2, "Projection", classes=classes)
        self.classes = nn.Embedding(classes, self.feature_dim)
        nn.init.xavier_uniform_(self.classes.weight)
        if spectral_norm:
            parametrizations.spectral_norm(self.classes)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape) and labels (N,) to logits (N,)."""
        if labels is None:
            raise UserError("Projection: no labels", "one label for each example", "use a conditional model")
        features = self.features(examples)
        return self.discriminator.output(features).flatten(0) + (self.classes(labels) * features).sum(1)


class AuxiliaryClassifier(Reader):
    """The logit, and the logits of the classes, both read off the features: (N, *shape) to (N, 1 + classes).

    Raises `UserError` for networks without features and for fewer than 2 classes.
    Source: Odena et al. 2017, section 4.
    """

    def __init__(self, discriminator: nn.Module, classes: int) -> None:
        super().__init__(discriminator)
        require_at_least(2, "AuxiliaryClassifier", classes=classes)
        self.classes = nn.Linear(self.feature_dim, classes)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape) to (N, 1 + classes), the logit first; the labels are not looked at."""
        features = self.features(examples)
        return torch.cat([self.discriminator.output(features), self.classes(features)], 1)


class CodeReader(Reader):
    """The logit, and the posterior of the code that an example was made from, by one hidden layer of `width` units.

    (N, *shape) to (N, 1 + sum(categories) + 2 continuous): the logit, the logits of each categorical code in turn, the
    means of the continuous codes, and as many numbers, unbounded, for their spread. The hidden layer has batch
    norm and LeakyReLU(0.1).
    Raises `UserError` for networks without features, for a categorical code of fewer than 2 values, where there is no
    code at all, and for a width below 1.
    Source: Chen et al. 2016, section 6 and appendix C.
    """

    def __init__(self, discriminator: nn.Module, categories: Sequence[int], continuous: int, width: int) -> None:
        super().__init__(discriminator)
        require_at_least(0, "CodeReader", continuous=continuous)
        require_at_least(1, "CodeReader", width=width)
        if min(categories, default=2) < 2 or not (categories or continuous):
            given = f"CodeReader: categories={list(categories)}, continuous={continuous}"
            raise UserError(
                given, "at least one code, each categorical one of 2 values or more", "e.g. categories=[10]"
            )
        self.code = nn.Sequential(
            nn.Linear(self.feature_dim, width, bias=False),
            nn.BatchNorm1d(width),
            nn.LeakyReLU(0.1),
            nn.Linear(width, sum(categories) + 2 * continuous),
        )

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape) to (N, 1 + sum(categories) + 2 continuous); the labels are not looked at."""
        features = self.features(examples)
        return torch.cat([self.discriminator.output(features), self.code(features)], 1)
