"""Measures of a model with codes: of what it says of held-out examples, not of examples that it makes."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

from torch import Tensor
from torch.distributions import Distribution

from duogen.metrics.measure import Measure
from duogen.records import Examples


class Said(Protocol):
    """What K draws of each of N posteriors say of the examples, in nats.

    `distortion` -log p(x | z), (N,), its mean over the draws; `rate` KL(q(z | x) || p(z)), (N,), in closed form or its
    mean over the draws; `rates` the same for each dimension, (N, Z), where both factorise; `log_weights`
    log p(x | z) + log p(z) - log q(z | x), (K, N).
    """

    distortion: cached_property[Tensor]
    rate: cached_property[Tensor]
    rates: cached_property[Tensor | None]
    log_weights: cached_property[Tensor]


class Inference(Protocol):
    """What a model with codes can be asked, in evaluation mode and without gradients."""

    @property
    def latent_dim(self) -> int:
        """Z."""
        ...

    @property
    def level(self) -> float | None:
        """The width of a grey level where p(x | z) is a density, None where it is a probability."""
        ...

    def recognised(self, examples: Examples) -> Distribution:
        """q(z | x), batch shape (N,), event shape (Z,); asked twice for the same examples, it answers at once."""
        ...

    def evidence(self, examples: Examples, draws: int) -> Said:
        """What `draws` new codes of each example say."""
        ...

    def believed(self) -> Distribution:
        """p(z), event shape (Z,)."""
        ...

    def explained(self, codes: Tensor, examples: Examples) -> Tensor:
        """log p(x | z) in nats, (K, N), of codes (K, N, Z)."""
        ...


class LatentMeasure(Measure):
    """A metric of held-out examples and of what a model with codes says of them.

    A subclass fills its sums in `infer`; what it draws is of the default generators, which whoever asks has seeded.
    """

    @abstractmethod
    def infer(self, model: Inference, real: Examples) -> None:
        """Adds a batch of held-out examples, values (N, *shape), to the sums."""

    def accumulate(self, generated: Examples, real: Examples) -> None:
        """Nothing: generated examples say nothing of codes."""

    def ask(self, model: Inference, real: Examples) -> None:
        """Counts and infers a batch."""
        self.infer(model, real)
        self.n_real += real.count
        self._update_count, self._computed = self._update_count + 1, None  # as torchmetrics does around `update`


def means(posterior: Distribution) -> Tensor:
    """The posterior means (N, Z); where the distribution has none, those of 256 draws.

    Their noise, a 256th of the posterior's variance, stays below what makes a unit active.
    """
    try:
        return posterior.mean
    except NotImplementedError:
        return posterior.sample((256,)).mean(0)


def bits_per_dimension(nats: Tensor, shape: Sequence[int], level: float) -> Tensor:
    """(nats - D log level) / (D ln 2) of a negative log-likelihood of examples of D values, any shape.

    `level`: width of a grey level where the likelihood is a density, 1 where it is a probability. Values without
    levels have a density alone, and then these are bits of that.
    """
    return (nats / math.prod(shape) - math.log(level)) / math.log(2)
