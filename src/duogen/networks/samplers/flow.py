"""A normalizing flow of codes."""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import one_hot
from zuko.distributions import DiagNormal, NormalizingFlow

from duogen.networks.posteriors.transforms import affine, autoregressive
from duogen.networks.samplers.descent import Descent
from duogen.networks.samplers.sampler import VectorSampler

SMALLEST = 1e-6


class FlowSampler(VectorSampler):
    """p(z | y) = N(f(u, y); 0, I) |det df / dz|, u = (z - m) / s, m and s the codes' means and deviations.

    f is `steps` masked networks, u'_d = exp(a(u_<d, y)) u_d + b(u_<d, y), the order turned round after each: a density
    is one pass, a draw takes Z.

    Args:
        latent_dim: Z.
        classes: how many, or null.
        steps: masked networks, >= 1.
        width: of their hidden layers, >= Z.
        depth: their number, >= 1.
        activation: that follows each of them.
        fitting: how it is fitted.
    Source: Papamakarios et al. 2017, sections 3.1 and 3.4.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        latent_dim: int,
        classes: int | None,
        steps: int,
        width: int,
        depth: int,
        activation: nn.Module,
        fitting: Descent,
    ) -> None:
        super().__init__(latent_dim, classes)
        self.flow = autoregressive(latent_dim, classes or 0, steps, width, depth, activation, affine)
        self.fitting = fitting
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    def fit(self, codes: Tensor, labels: Tensor | None, generator: Generator) -> str:
        self.mean.copy_(codes.mean(0))
        self.scale.copy_(codes.std(0, correction=0).clamp(min=SMALLEST))
        return self.fitting(self, codes, labels, generator)

    def log_prob(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        normal = DiagNormal(torch.zeros_like(self.mean), torch.ones_like(self.mean))
        flow = NormalizingFlow(self.flow(self.told(labels)), normal)
        return flow.log_prob((codes - self.mean) / self.scale) - self.scale.log().sum()

    def forward(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        return self.flow(self.told(labels)).inv(noise) * self.scale + self.mean

    def told(self, labels: Tensor | None) -> Tensor | None:
        """(N, classes), 1 where the class is."""
        return None if labels is None or self.classes is None else one_hot(labels, self.classes).to(self.mean)
