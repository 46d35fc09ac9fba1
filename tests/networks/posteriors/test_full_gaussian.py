import numpy as np
import pytest
import torch
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence

from duogen.networks.posteriors.full_gaussian import full_to_diagonal
from networks.posteriors.built import built, examples

DOUBLE = torch.float64


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    factor = np.tril(rng.normal(size=(3, 4, 4)), -1) + np.exp(rng.normal(size=(3, 4)))[:, None] * np.eye(4)
    return rng.normal(size=(3, 4)), factor, rng.normal(size=4), np.exp(rng.normal(size=4))


def full(mean, factor):
    return MultivariateNormal(torch.as_tensor(mean), scale_tril=torch.as_tensor(factor), validate_args=False)


@pytest.mark.parametrize("standard", [True, False])
def test_rate_against_a_diagonal_prior_equals_numpy(standard):
    mean, factor, centre, scale = drawn()
    if standard:
        centre, scale = np.zeros(4), np.ones(4)
    rate = kl_divergence(full(mean, factor), Independent(Normal(torch.as_tensor(centre), torch.as_tensor(scale)), 1))
    covariance = factor @ factor.transpose(0, 2, 1)
    inverse = np.diag(scale**-2)
    gap = mean - centre
    expected = 0.5 * (
        np.trace(inverse @ covariance, axis1=1, axis2=2) + np.einsum("nd,de,ne->n", gap, inverse, gap) - 4
        + 2 * np.log(scale).sum() - np.linalg.slogdet(covariance)[1]
    )  # fmt: skip
    np.testing.assert_allclose(rate, expected, rtol=1e-6)


def test_no_closed_form_is_made_up_for_other_priors():
    mean, factor, *_ = drawn()
    zeros = torch.zeros(4, dtype=DOUBLE)
    for prior in (Independent(Laplace(zeros, zeros + 1), 1), Independent(Normal(zeros, zeros + 1), 0)):
        with pytest.raises(NotImplementedError):
            full_to_diagonal(full(mean, factor), prior)


def test_factor_is_lower_triangular_with_a_bounded_diagonal():
    posterior = built("full_gaussian", latent_dim=4)[0]
    with torch.no_grad():
        posterior.head.weight.mul_(1e4)
    factor = posterior(examples()).scale_tril
    assert factor.shape == (2, 4, 4)
    assert (factor.triu(1) == 0).all()
    assert (factor.tril(-1).abs().sum((1, 2)) > 1).all()
    diagonal = factor.diagonal(dim1=1, dim2=2)
    assert (diagonal > 0.0183).all()
    assert (diagonal < 54.6).all()


def test_each_number_of_the_head_is_used_once():
    posterior = built("full_gaussian", latent_dim=3)[0]
    numbers = posterior.head(posterior.encoder(examples()))[0]
    found = posterior(examples())
    torch.testing.assert_close(found.loc[0], numbers[:3])
    torch.testing.assert_close(found.scale_tril[0, [1, 2, 2], [0, 0, 1]], numbers[6:])
