"""Samplers that are a few normal distributions."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal

from duogen.errors import UserError, require_at_least
from duogen.networks.samplers.sampler import VectorSampler


class Normals(NamedTuple):
    """K normal distributions: weights (K,), means (K, Z), covariances (K, Z, Z), float64; and how they were found."""

    weights: Tensor
    means: Tensor
    covariances: Tensor
    said: str


class MixtureSampler(VectorSampler):
    """p(z | y) = sum_k w_yk N(z; m_yk, S_yk), full covariances, a mixture of K = `components` for each class.

    The first number of the noise says which component, by the inverse of its distribution function; the other Z are
    moved by the component's Cholesky factor.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, latent_dim: int, classes: int | None, components: int) -> None:
        super().__init__(latent_dim, classes)
        require_at_least(1, type(self).__name__, components=components)
        self.components, self.noise_dim = components, 1 + latent_dim
        shape, eye = (classes or 1, components), torch.eye(latent_dim, dtype=torch.float64)
        self.register_buffer("weights", torch.full(shape, 1 / components, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(*shape, latent_dim, dtype=torch.float64))
        self.register_buffer("factors", eye.repeat(*shape, 1, 1))

    @abstractmethod
    def found(self, codes: Tensor, generator: Generator) -> Normals:
        """The components of codes (n, Z), float64 on the CPU."""

    def fit(self, codes: Tensor, labels: Tensor | None, generator: Generator) -> str:
        said: list[str] = []
        for label, rows in self.by_class(None if labels is None else labels.cpu(), len(codes)):
            self.refuse_few(rows, label, max(2, self.components))
            try:
                normals = self.found(codes.cpu().double()[rows], generator)
                factors = torch.linalg.cholesky(normals.covariances)
            except (ValueError, torch.linalg.LinAlgError):
                given = f"{type(self).__name__}: codes without a positive covariance"
                allowed = "finite codes that spread in every dimension, or a ridge above 0"
                raise UserError(given, allowed, "e.g. sampler.ridge=0.001") from None
            self.weights[label] = normals.weights.to(self.weights)
            self.means[label] = normals.means.to(self.means)
            self.factors[label] = factors.to(self.factors)
            said.append(normals.said)
        return "; ".join(dict.fromkeys(said))

    def log_prob(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        logs = codes.new_zeros(len(codes), dtype=torch.float64)
        for label, rows in self.by_class(labels, len(codes)):
            normals = MultivariateNormal(self.means[label], scale_tril=self.factors[label], validate_args=False)
            each = normals.log_prob(codes[rows].double()[:, None]) + self.weights[label].log()
            logs[rows] = each.logsumexp(1)
        return logs

    def forward(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        label = torch.zeros(len(noise), dtype=torch.long, device=noise.device) if labels is None else labels
        share = torch.special.ndtr(noise[:, :1].double())
        chosen = (self.weights[label].cumsum(1) <= share).sum(1).clamp(max=self.components - 1)
        moved = (self.factors[label, chosen] @ noise[:, 1:, None].double())[..., 0]
        return (self.means[label, chosen] + moved).float()
