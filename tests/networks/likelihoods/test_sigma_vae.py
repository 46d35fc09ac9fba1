import copy
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from duogen.errors import UserError
from duogen.networks.likelihoods.sigma_vae import SigmaVae

SHAPES = [(1, 2, 3), (3, 2, 4), (5,)]


def sigma_vae(shape=(5,), least=0.01, momentum=0.1):
    return SigmaVae(shape, 256, False, least, momentum).double()


def draw(*size, seed=0):
    return torch.randn(2, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("batch", [(4,), (3, 4)])
@pytest.mark.parametrize("shape", SHAPES)
def test_training_takes_the_root_mean_square_of_the_batch(shape, batch):
    mean, value = draw(*batch, *shape)
    value = value[0] if len(batch) == 2 else value
    sigma = np.sqrt(((value - mean).numpy() ** 2).mean())
    expected = norm.logpdf(value.numpy(), mean.numpy(), sigma).reshape(*batch, -1).sum(-1)
    np.testing.assert_allclose(sigma_vae(shape)(mean).log_prob(value), expected, rtol=1e-6)


def test_no_other_sigma_makes_the_batch_more_likely():
    mean, value = draw(4, 5)
    best = sigma_vae()(mean).log_prob(value).sum().item()
    assert best > max(norm.logpdf(value, mean, sigma).sum() for sigma in (0.5, 1.0, 1.3, 1.5, 3.0))
    error = ((value - mean) ** 2).mean().item()
    assert best == pytest.approx(-10 * (math.log(2 * math.pi * error) + 1))


def test_the_gradient_is_that_of_the_optimised_log_likelihood():
    mean, value = draw(4, 5)
    (ours,) = torch.autograd.grad(sigma_vae()(mean.requires_grad_()).log_prob(value).sum(), mean)
    through = -10 * (value - mean).square().mean().log()
    (whole,) = torch.autograd.grad(through, mean)
    torch.testing.assert_close(ours, whole)


def test_no_gradient_flows_through_sigma():
    made, (mean, value) = sigma_vae(), draw(4, 5)
    log_prob = made(mean.requires_grad_()).log_prob(value)
    (gradient,) = torch.autograd.grad(log_prob[2], mean)
    expected = (value - mean).detach() / made.variance * torch.eye(4)[:, 2:3]
    torch.testing.assert_close(gradient, expected)
    assert not made.variance.requires_grad


def test_sigma_does_not_fall_below_its_least():
    made, mean = sigma_vae(least=0.2), draw(4, 5)[0]
    expected = norm.logpdf(0, 0, 0.2) * 5
    np.testing.assert_allclose(made(mean).log_prob(mean), expected, rtol=1e-6)
    assert made.variance.item() == pytest.approx(0.04)


def test_the_running_variance_is_a_mean_at_first_and_then_forgets():
    made, expected = sigma_vae(momentum=0.4), 0.0
    assert made.variance == 1
    for n in range(1, 6):
        mean, value = draw(4, 5, seed=n)
        made(mean).log_prob(value)
        share = max(0.4, 1 / n)
        expected = (1 - share) * expected + share * ((value - mean) ** 2).mean().item()
        assert made.variance.item() == pytest.approx(expected)
    assert made.batches == 5
    assert made.batches.dtype == torch.int64


def test_evaluation_takes_the_running_variance_and_changes_nothing():
    made, (mean, value) = sigma_vae(), draw(4, 5)
    made.variance.fill_(0.09)
    before = copy.deepcopy(made.state_dict())
    expected = norm.logpdf(value, mean, 0.3).sum(1)
    np.testing.assert_allclose(made.eval()(mean).log_prob(value), expected, rtol=1e-6)
    np.testing.assert_allclose(made(mean[:1]).log_prob(value[:1]), expected[:1], rtol=1e-6)
    assert made.state_dict().keys() == before.keys() == {"variance", "batches"}
    assert all(torch.equal(made.state_dict()[name], before[name]) for name in before)


def test_samples_have_the_running_sigma_in_both_modes():
    made = sigma_vae()
    made.variance.fill_(0.09)
    for mode in (True, False):
        torch.manual_seed(0)
        drawn = made.train(mode)(torch.zeros(5, dtype=torch.float64)).sample(torch.Size([4000]))
        assert drawn.std().item() == pytest.approx(0.3, rel=0.03)


def test_refuses_numbers_out_of_range_by_name():
    with pytest.raises(UserError, match=r"SigmaVae: least=0\.0"):
        sigma_vae(least=0.0)
    for momentum in (0.0, 1.5):
        with pytest.raises(UserError, match=f"SigmaVae: momentum={momentum}"):
            sigma_vae(momentum=momentum)
