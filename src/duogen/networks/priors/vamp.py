"""A prior made of the posteriors of examples that are learned."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from duogen.errors import UserError, require_at_least
from duogen.networks.priors.prior import Prior, Recognise

AT_ONCE = 2**24


class VampPrior(Prior):
    """p(z) = (1/K) sum_k q(z | u_k), the u_k learned pseudo-inputs.

    Images are tanh(a_k), within [-1, 1], vectors a_k themselves. They start near `mean`, the a_k from N(m, std^2) with
    m = atanh(mean) for images and m = mean for vectors. An encoder that is told classes cannot read them.

    Args:
        shape: of one example, (C, H, W) or (D,).
        components: K, >= 1.
        mean: of the data, within (-1, 1) for images.
        std: of the start, > 0; pseudo-inputs that start alike stay alike.
    Raises `UserError` for no components, and for a mean outside the images' range.
    Source: Tomczak and Welling 2018, section 3.
    """

    def __init__(self, shape: Sequence[int], components: int, mean: float, std: float) -> None:
        super().__init__()
        require_at_least(1, "VampPrior", components=components)
        self.image = len(shape) == 3
        if self.image and abs(mean) >= 1:
            raise UserError(f"VampPrior: mean={mean}", "between -1 and 1, for images", "e.g. prior.mean=-0.7")
        start = math.atanh(mean) if self.image else mean
        self.unbounded = nn.Parameter(start + std * torch.randn(components, *shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """u (K, *shape), images in [-1, 1]."""
        return self.unbounded.tanh() if self.image else self.unbounded

    def forward(self, recognise: Recognise) -> Distribution:
        return Mixture(recognise, self.pseudo_inputs)


class Mixture(Distribution):
    """(1/K) sum_k q(z | u_k) of the posteriors of K examples (K, *shape), whatever family they are of."""

    def __init__(self, recognise: Recognise, examples: Tensor) -> None:
        self.recognise, self.examples = recognise, examples
        self.components = recognise(examples)
        super().__init__(torch.Size(), self.components.event_shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {}

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        chosen = torch.randint(len(self.examples), (math.prod(sample_shape),), device=self.examples.device)
        return self.recognise(self.examples[chosen]).sample().reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log-mean-exp of the components', (...), of values (..., Z); a few million numbers at a time."""
        rows = max(1, AT_ONCE // (len(self.examples) * value.shape[-1]))
        parts = [self._log_prob(part) for part in value.reshape(-1, value.shape[-1]).split(rows)]
        return torch.cat(parts).reshape(value.shape[:-1])

    def _log_prob(self, value: Tensor) -> Tensor:
        return self.components.log_prob(value.unsqueeze(1)).logsumexp(1) - math.log(len(self.examples))
