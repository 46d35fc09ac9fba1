import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.distributions import Independent, Normal, kl_divergence

from duogen.networks.posteriors.gaussian import Gaussian, deviation, diagonal
from networks.posteriors.built import built, examples


def test_rate_against_the_standard_prior_equals_numpy():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(3, 8))
    zeros = torch.zeros(4, dtype=torch.float64)
    rate = kl_divergence(diagonal(torch.as_tensor(numbers)), Independent(Normal(zeros, zeros + 1), 1))
    mean, log_variance = numbers[:, :4], 8 * np.tanh(numbers[:, 4:] / 8)
    expected = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(1)
    np.testing.assert_allclose(rate, expected, rtol=1e-6)


@pytest.mark.parametrize(("number", "expected"), [(-1e4, math.exp(-4)), (0.0, 1.0), (1e4, math.exp(4))])
def test_deviations_are_bounded(number, expected):
    torch.testing.assert_close(deviation(torch.tensor(number)), torch.tensor(expected))


def test_mean_and_deviation_are_affine_in_the_features():
    posterior = built("gaussian", latent_dim=3)[0]
    numbers = posterior.encoder(examples()) @ posterior.head.weight.T + posterior.head.bias
    found = posterior(examples())
    torch.testing.assert_close(found.mean, numbers[:, :3])
    torch.testing.assert_close(found.variance.log(), 8 * (numbers[:, 3:] / 8).tanh())


def test_a_gaussian_is_scipys_normal_whatever_its_shape():
    mean, log_sigma = torch.tensor([0.3, -2.0]).double(), torch.tensor([-1.2, 0.7]).double()
    value = torch.tensor([0.5, 1.0]).double()
    found = Gaussian(mean, log_sigma)
    expected = norm.logpdf(value, mean, np.exp(log_sigma.numpy()))
    np.testing.assert_allclose(found.log_prob(value), expected, rtol=1e-12)
    np.testing.assert_allclose(found.expand((3, 2)).log_prob(value), np.tile(expected, (3, 1)), rtol=1e-12)
    assert Independent(found, 1).expand((4,)).rsample().shape == (4, 2)
