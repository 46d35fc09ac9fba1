import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from duogen.errors import UserError
from duogen.networks.likelihoods.learned_gaussian import LearnedGaussian

BOUND = math.log(100)


@pytest.mark.parametrize("shape", [(1, 2, 3), (3, 2, 4), (5,)])
def test_log_prob_equals_scipy(shape):
    mean, number, value = torch.randn(3, 4, *shape, dtype=torch.float64)
    sigma = np.exp(BOUND * np.tanh(number.numpy() / BOUND))
    expected = norm.logpdf(value.numpy(), mean.numpy(), sigma).reshape(4, -1).sum(1)
    distribution = LearnedGaussian(shape, 256, False, 0.01)(torch.cat([mean, number], 1))
    np.testing.assert_allclose(distribution.log_prob(value), expected, rtol=1e-6)
    torch.testing.assert_close(distribution.mean, mean)


@pytest.mark.parametrize(("number", "sigma"), [(-1e4, 0.01), (0.0, 1.0), (1e4, 100.0)])
def test_sigma_stays_within_its_bounds(number, sigma):
    distribution = LearnedGaussian((1,), 256, False, 0.01)(torch.tensor([0.0, number], dtype=torch.float64))
    assert distribution.variance.sqrt().item() == pytest.approx(sigma)
    assert distribution.log_prob(torch.zeros(1)).item() == pytest.approx(norm.logpdf(0, 0, sigma))


@pytest.mark.parametrize("number", [-3.0, 0.0, 1.0])
def test_the_density_integrates_to_1(number):
    distribution = LearnedGaussian((1,), 256, False, 0.01)(torch.tensor([0.2, number], dtype=torch.float64))
    whole = quad(lambda x: distribution.log_prob(torch.tensor([x])).exp().item(), -30, 30, points=[0.1, 0.2, 0.3])[0]
    assert whole == pytest.approx(1, abs=1e-6)


def test_refuses_a_least_sigma_by_name():
    with pytest.raises(UserError, match=r"LearnedGaussian: least=1\.5"):
        LearnedGaussian((5,), 256, False, 1.5)
