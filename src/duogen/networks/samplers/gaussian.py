"""One normal distribution of codes."""

import torch
from torch import Generator, Tensor

from duogen.networks.samplers.mixture import MixtureSampler, Normals


class GaussianSampler(MixtureSampler):
    """p(z | y) = N(z; m_y, S_y): the mean and the covariance of the codes, of each class where there are classes.

    S = sum_n (z_n - m) (z_n - m)^T / N + ridge I, in float64; two codes of a class at least.

    Args:
        latent_dim: Z.
        classes: how many, or null.
        ridge: >= 0, which keeps S positive where there are fewer codes than dimensions.
    Source: Ghosh et al. 2020, section 4.
    """

    def __init__(self, latent_dim: int, classes: int | None, ridge: float) -> None:
        super().__init__(latent_dim, classes, 1)
        self.ridge = ridge

    def found(self, codes: Tensor, generator: Generator) -> Normals:
        mean = codes.mean(0)
        covariance = (codes - mean).T @ (codes - mean) / len(codes)
        covariance += self.ridge * torch.eye(self.latent_dim, dtype=codes.dtype)
        return Normals(codes.new_ones(1), mean[None], covariance[None], "in closed form")
