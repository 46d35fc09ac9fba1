"""Codes that are normal and correlated, given an example."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.distributions.kl import register_kl

from duogen.networks.encoder import Encoder
from duogen.networks.posteriors.gaussian import deviation
from duogen.networks.posteriors.posterior import Posterior


class FullGaussianPosterior(Posterior):
    """q(z | x) = N(mu(x), L(x) L(x)^T), L lower triangular; mu, L and log of its diagonal affine in the features.

    The logarithm of the diagonal's square is held softly within [-8, 8], as in GaussianPosterior.
    Source: Kingma and Welling 2019, section 2.5.1.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, encoder: Encoder, latent_dim: int) -> None:
        super().__init__()
        self.encoder, self.latent_dim = encoder, latent_dim
        below = latent_dim * (latent_dim - 1) // 2
        self.head = nn.Linear(encoder.feature_dim, 2 * latent_dim + below)
        rows, columns = torch.tril_indices(latent_dim, latent_dim, -1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, examples: Tensor, labels: Tensor | None = None) -> Distribution:
        numbers = self.head(self.encoder(examples, labels)).float()
        mean, log_variance, below = numbers.tensor_split((self.latent_dim, 2 * self.latent_dim), -1)
        factor = torch.diag_embed(deviation(log_variance))
        factor[:, self.rows, self.columns] = below
        return MultivariateNormal(mean, scale_tril=factor, validate_args=False)


@register_kl(MultivariateNormal, Independent)
def full_to_diagonal(posterior: MultivariateNormal, prior: Independent) -> Tensor:
    """KL(N(mu, L L^T) || N(m, diag s^2)) in nats, of the batch shape.

    = sum_d [((L L^T)_dd + (mu_d - m_d)^2) / (2 s_d^2) + log(s_d / L_dd) - 1 / 2].
    """
    normal = prior.base_dist
    if not (isinstance(normal, Normal) and prior.reinterpreted_batch_ndims == 1):
        raise NotImplementedError
    factor = posterior.scale_tril
    spread = (factor.square().sum(-1) + (posterior.loc - normal.loc).square()) / normal.scale.square()
    shrinkage = normal.scale.log() - factor.diagonal(dim1=-2, dim2=-1).log()
    return (spread / 2 + shrinkage - 0.5).sum(-1)
