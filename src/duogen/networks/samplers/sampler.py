"""What every sampler of codes offers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from duogen.errors import UserError, require_at_least


class Sampler(nn.Module, ABC):
    """p(z | y), a distribution of codes given classes, fitted to codes: z = T(e, y), a function of noise e ~ N(0, I).

    Codes are a function of their noise and their class alone, so that the same noise gives the same codes, noise that
    is shared by classes shows what is theirs, and paths between two draws of noise pass through draws.
    `noise_dim` is S, the length of e; `classes` is how many classes there are, or null.
    """

    noise_dim: int
    classes: int | None

    @abstractmethod
    def fit(self, codes: Tensor, labels: Tensor | None, generator: Generator) -> str:
        """Fits p(z | y) to codes (N, ...) and, where there are classes, their labels (N,); says how that went.

        Of `generator` and the default generators alone, beside the parameters as they are. Raises `UserError` for codes
        that cannot be fitted.
        """

    @abstractmethod
    def log_prob(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """log p(z | y) in nats, (N,), of codes (N, ...) and labels (N,)."""

    @abstractmethod
    def forward(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        """Codes (N, ...) of noise (N, S) and, where there are classes, of labels (N,)."""

    def by_class(self, labels: Tensor | None, count: int) -> Iterator[tuple[int, Tensor]]:
        """Each class and the rows, (n,), of its examples among `count`; without classes all rows, as class 0."""
        if labels is None:
            yield 0, torch.arange(count)
            return
        for label in range(self.classes or 1):
            yield label, (labels == label).nonzero()[:, 0]

    def refuse_few(self, rows: Tensor, label: int | None, least: int) -> None:
        """Raises `UserError` for a class, or without a label for all codes, with fewer than `least`."""
        if len(rows) < least:
            of = "" if self.classes is None or label is None else f" of class {label}"
            given = f"{type(self).__name__}: {len(rows)} codes{of}"
            raise UserError(given, f"at least {least}", "train on more examples, or take a smaller sampler")


class VectorSampler(Sampler):
    """A sampler of codes (N, Z) of real numbers, Z = `latent_dim`."""

    def __init__(self, latent_dim: int, classes: int | None) -> None:
        super().__init__()
        require_at_least(1, type(self).__name__, latent_dim=latent_dim)
        self.latent_dim, self.classes = latent_dim, classes
        self.noise_dim = latent_dim
