import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from duogen.errors import UserError
from duogen.networks.likelihoods.gaussian import Gaussian, SharedGaussian

SHAPES = [(1, 2, 3), (3, 2, 4), (5,)]


@pytest.mark.parametrize("sigma", [0.1, 1.0, 2.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_log_prob_equals_scipy(shape, sigma):
    mean, value = torch.randn(2, 4, *shape, dtype=torch.float64)
    expected = norm.logpdf(value.numpy(), mean.numpy(), sigma).reshape(4, -1).sum(1)
    np.testing.assert_allclose(Gaussian(shape, 256, False, sigma)(mean).log_prob(value), expected, rtol=1e-6)


def test_a_fixed_sigma_of_1_is_half_the_squared_error_and_a_constant():
    mean, value = torch.randn(2, 4, 5, dtype=torch.float64)
    expected = -0.5 * ((value - mean) ** 2).sum(1) - 2.5 * math.log(2 * math.pi)
    torch.testing.assert_close(Gaussian((5,), 256, False, 1.0)(mean).log_prob(value), expected)


@pytest.mark.parametrize("number", [-1e4, -2.0, 0.0, 0.7, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_shared_sigma_is_bounded_and_the_same_for_all(shape, number):
    made = SharedGaussian(shape, 256, False, 0.01).double()
    with torch.no_grad():
        made.log_sigma.fill_(number)
    bound = math.log(100)
    sigma = math.exp(bound * math.tanh(number / bound))
    mean, value = torch.randn(2, 4, *shape, dtype=torch.float64)
    expected = norm.logpdf(value.numpy(), mean.numpy(), sigma).reshape(4, -1).sum(1)
    np.testing.assert_allclose(made(mean).log_prob(value).detach(), expected, rtol=1e-6)
    assert 0.00999 < sigma < 100.01


def test_the_shared_sigma_starts_at_1_and_learns_the_error():
    made, error = SharedGaussian((5,), 256, False, 0.01), 0.3 * torch.randn(200, 5)
    assert made(torch.zeros(5)).base_dist.scale.unique().item() == 1
    optimizer = torch.optim.Adam(made.parameters(), 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (-made(torch.zeros(200, 5)).log_prob(error).mean()).backward()
        optimizer.step()
    sigma = made(torch.zeros(5)).base_dist.scale.unique().item()
    assert sigma == pytest.approx(error.square().mean().sqrt().item(), rel=0.02)


def test_densities_integrate_to_1():
    shared = SharedGaussian((1,), 256, False, 0.01)
    with torch.no_grad():
        shared.log_sigma.fill_(-1.5)
    for made in (Gaussian((1,), 256, False, 0.3), shared):
        distribution = made(torch.tensor([0.2], dtype=torch.float64))
        whole = quad(lambda x, p=distribution: p.log_prob(torch.tensor([x])).exp().item(), -10, 10, points=[0.2])[0]
        assert whole == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_refuses_a_sigma_by_name(sigma):
    with pytest.raises(UserError, match="Gaussian: sigma="):
        Gaussian((5,), 256, False, sigma)


def test_refuses_a_least_sigma_by_name():
    with pytest.raises(UserError, match=r"SharedGaussian: least=0\.0"):
        SharedGaussian((5,), 256, False, 0.0)
