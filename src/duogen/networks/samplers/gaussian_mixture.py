"""A mixture of normal distributions of codes."""

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Generator, Tensor

from duogen.networks.samplers.mixture import MixtureSampler, Normals


class GaussianMixtureSampler(MixtureSampler):
    """p(z | y) = sum_k w_k N(z; m_k, S_k), found by expectation maximisation from k-means, of each class where any.

    Args:
        latent_dim: Z.
        classes: how many, or null.
        components: K, >= 1, and no more than a class has codes.
        iterations: most rounds of expectation maximisation.
        ridge: >= 0, added to the variances.
    Source: Ghosh et al. 2020, section 4.
    """

    def __init__(self, latent_dim: int, classes: int | None, components: int, iterations: int, ridge: float) -> None:
        super().__init__(latent_dim, classes, components)
        self.iterations, self.ridge = iterations, ridge

    def found(self, codes: Tensor, generator: Generator) -> Normals:
        seed = int(torch.randint(2**31, (), generator=generator))
        mixture = GaussianMixture(
            self.components, max_iter=self.iterations, reg_covar=self.ridge, random_state=seed, covariance_type="full"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said below
            mixture.fit(codes.numpy())
        said = "converged" if mixture.converged_ else f"stopped after {self.iterations} iterations"
        parts = (mixture.weights_, mixture.means_, mixture.covariances_)
        weights, means, covariances = (torch.as_tensor(part) for part in parts)
        return Normals(weights, means, covariances, said)
