"""How much a code tells of its example, under the encoder."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from duogen.errors import UserError
from duogen.metrics.latent import Inference, LatentMeasure
from duogen.records import Examples, Fact

BLOCK = 256


class MutualInformation(LatentMeasure):
    """The mutual information of example and code under q, estimated on M held-out examples chosen at random.

    I = E_x E_q [log q(z | x) - log q(z)],  q(z) = mean_m q(z | x_m) over these M, z one draw of each, in nats.
    It cannot exceed log M, whatever the encoder tells: at M = 10,000 that is 9.2 nats.

    Args:
        shape: of one example.
        latent_dim: Z.
        examples: M, >= 2, or all where there are fewer.
    Raises `UserError` for posteriors that are no diagonal Gaussians.
    Source: Hoffman and Johnson 2016, section 3; the estimator of He et al. 2019, section 4.2.
    """

    name: ClassVar[str] = "mutual_information"
    facts: Mapping[str, Fact] = {"mutual_information": Fact(unit="nats", higher_is_better=True)}

    said: Tensor | list[Tensor]

    def __init__(self, shape: Sequence[int], latent_dim: int, examples: int) -> None:
        super().__init__(shape)
        if examples < 2:
            raise UserError(f"mutual_information: examples={examples}", "2 or more", "e.g. 2000")
        self.latent_dim, self.examples = latent_dim, examples
        self.add_state("said", [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forgets the examples; a rank without any has an empty part to gather."""
        super().reset()
        self.said = [torch.zeros(0, 3 * self.latent_dim, dtype=torch.float64, device=self.device)]

    def infer(self, model: Inference, real: Examples) -> None:
        normal = diagonal(model.recognised(real))
        assert isinstance(self.said, list)
        self.said.append(torch.cat([normal.sample(), normal.mean, normal.stddev], 1).double().to(self.device))

    def chosen(self) -> Tensor:
        """Code, mean and deviation of the examples that count, (M, 3 Z): neither batches nor ranks decide which."""
        rows = (torch.cat(self.said) if isinstance(self.said, list) else self.said).cpu()
        generator = torch.Generator().manual_seed(0)
        direction = torch.randn(rows.shape[1], generator=generator, dtype=torch.float64)
        ordered = rows[(rows @ direction).argsort(stable=True)]
        return ordered[torch.randperm(len(rows), generator=generator)[: self.examples]]

    def values(self) -> dict[str, Tensor]:
        self.require(2, "n_real")
        codes, locations, scales = self.chosen().chunk(3, 1)
        own = Normal(locations, scales).log_prob(codes).sum(1)
        all_of_them = [
            Normal(locations, scales).log_prob(block[:, None]).sum(2).logsumexp(1) for block in codes.split(BLOCK)
        ]
        return {"mutual_information": (own - torch.cat(all_of_them) + math.log(len(codes))).mean()}

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"examples": self.examples, "estimator": "one code an example, aggregate posterior"}


def diagonal(posterior: Distribution) -> Normal:
    """The normal distributions of the dimensions, batch shape (N, Z)."""
    if isinstance(posterior, Independent) and isinstance(posterior.base_dist, Normal):
        return posterior.base_dist
    raise UserError(
        "mutual_information of this posterior", "posterior=gaussian", "leave mutual_information out of metrics"
    )
