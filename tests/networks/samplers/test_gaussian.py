"""The normal distribution against numpy and scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from duogen.errors import UserError
from duogen.networks.samplers.gaussian import GaussianSampler

RIDGE = 1e-6


def codes(count=70, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, 3, generator=generator) @ torch.tensor([[2.0, 0.5, 0.0], [0, 1, -1], [0, 0, 0.3]])
    return mixed + torch.tensor([5.0, -1.0, 0.0])


def fitted(values, labels=None, classes=None):
    sampler = GaussianSampler(3, classes, RIDGE)
    sampler.fit(values, labels, torch.Generator().manual_seed(1))
    return sampler


def test_the_density_is_that_of_the_codes_mean_and_covariance():
    values = codes()
    truth = multivariate_normal(values.double().mean(0), np.cov(values.double().T, bias=True) + RIDGE * np.eye(3))
    found = fitted(values).log_prob(codes(5, seed=9), None)
    assert found.numpy() == pytest.approx(truth.logpdf(codes(5, seed=9).double()), abs=1e-6)


def test_draws_have_the_codes_moments():
    values = codes()
    drawn = fitted(values)(torch.randn(40_000, 4, generator=torch.Generator().manual_seed(2)), None).double()
    assert drawn.mean(0).numpy() == pytest.approx(values.double().mean(0).numpy(), abs=0.05)
    assert np.cov(drawn.T) == pytest.approx(np.cov(values.double().T, bias=True), abs=0.1)


def test_each_class_has_its_own():
    values, labels = torch.cat([codes(), codes() + 20]), torch.arange(2).repeat_interleave(70)
    sampler = fitted(values, labels, 2)
    noise = torch.randn(1, 4).repeat(2, 1)
    apart = sampler(noise, torch.tensor([0, 1]))
    assert (apart[1] - apart[0]).tolist() == pytest.approx([20, 20, 20], abs=1e-4)
    alone = fitted(codes())
    assert torch.allclose(sampler.log_prob(values[:4], labels[:4]), alone.log_prob(values[:4], None), atol=1e-6)


def test_fewer_codes_than_dimensions_can_be_drawn_from():
    drawn = fitted(codes(2))(torch.randn(6, 4), None)
    assert drawn.isfinite().all()


@pytest.mark.parametrize("ridge", [0.0, -1.0])
def test_a_covariance_that_is_not_positive_is_refused(ridge):
    with pytest.raises(UserError, match="GaussianSampler: codes without a positive covariance"):
        GaussianSampler(3, None, ridge).fit(codes(2), None, torch.Generator())
