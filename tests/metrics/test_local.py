import pytest
import torch
from torch.distributions import MultivariateNormal

from duogen.metrics.local import Local

DOUBLE = torch.float64
COVARIANCE = torch.tensor([[4.0, 1.2], [1.2, 1.0]], dtype=DOUBLE)
MEANS = torch.tensor([[3.0, -1.0], [0.0, 2.0], [1.0, 1.0]], dtype=DOUBLE)


def log_joint(codes):
    """Up to a constant, the logarithm of N(MEANS, COVARIANCE), one mean an example."""
    return 7.0 + MultivariateNormal(MEANS, COVARIANCE).log_prob(codes)


def begun(full):
    torch.manual_seed(0)
    return Local(MEANS + 0.5, torch.full_like(MEANS, 1.5), full)


@pytest.mark.parametrize("full", [False, True])
def test_it_begins_where_it_was_put(full):
    posterior = begun(full).posterior()
    assert torch.equal(posterior.mean, MEANS + 0.5)
    assert torch.allclose(posterior.stddev, torch.full_like(MEANS, 1.5))


def test_without_correlations_it_finds_the_mean_and_the_inverse_diagonal_of_the_precision():
    """The minimum of KL(q || p) over diagonal Gaussians (Bishop 2006, section 10.1.2)."""
    posterior = begun(False).fit(log_joint, 300, 20, 0.1)
    assert torch.allclose(posterior.mean, MEANS, atol=0.1)
    best = 1 / COVARIANCE.inverse().diagonal()
    assert torch.allclose(posterior.variance, best.expand(3, 2), rtol=0.06)


def test_with_correlations_it_finds_the_target_itself():
    posterior = begun(True).fit(log_joint, 400, 5, 0.1)
    assert torch.allclose(posterior.mean, MEANS, atol=1e-3)
    assert torch.allclose(posterior.covariance_matrix, COVARIANCE.expand(3, 2, 2), atol=5e-3)


def test_at_the_exact_posterior_it_stays_put():
    """No noise in the gradient: inside log q the parameters stand still."""
    one = Local(MEANS, COVARIANCE.diagonal().sqrt().expand(3, 2).contiguous(), False)

    def diagonal(codes):
        return MultivariateNormal(MEANS, torch.diag(COVARIANCE.diagonal())).log_prob(codes)

    posterior = one.fit(diagonal, 20, 1, 0.1)
    assert torch.allclose(posterior.mean, MEANS, atol=1e-6)
    assert torch.allclose(posterior.variance, COVARIANCE.diagonal().expand(3, 2), atol=1e-6)


def test_each_example_is_fitted_alone():
    together = begun(False)
    torch.manual_seed(0)
    noise = torch.randn(40, 3, 2, dtype=DOUBLE)
    assert together.posterior().batch_shape == (3,)
    slopes = torch.autograd.grad(log_joint(together.posterior().mean + noise)[:, 1].sum(), together.shift)[0]
    assert slopes[1].abs().sum() > 0
    assert slopes[[0, 2]].abs().sum() == 0


def test_the_fitted_one_carries_no_gradient():
    with torch.no_grad():
        posterior = begun(True).fit(log_joint, 2, 1, 0.1)
    assert not posterior.mean.requires_grad
    assert not posterior.covariance_matrix.requires_grad
