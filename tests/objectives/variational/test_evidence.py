import numpy as np
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, kl_divergence

from objectives.variational.gaussian_toy import Toy, log_normal


def mixture():
    toy = Toy(count=3)
    return MixtureSameFamily(Categorical(torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)), toy.posterior)


def test_log_weights_by_hand():
    toy = Toy()
    evidence = toy.evidence(draws=3)
    codes, mean, deviation = (tensor.detach().numpy() for tensor in (evidence.code, toy.mean, toy.log_deviation.exp()))
    expected = np.empty((3, 5))
    for draw in range(3):
        for n in range(5):
            prior = sum(log_normal(codes[draw, n, d], 0.0, 1.0) for d in range(2))
            posterior = sum(log_normal(codes[draw, n, d], mean[n, d], deviation[n, d]) for d in range(2))
            expected[draw, n] = evidence.log_likelihood[draw, n].item() + prior - posterior
    np.testing.assert_allclose(evidence.log_weights.detach(), expected, rtol=1e-10)
    assert evidence.count == 5


def test_rates_of_each_dimension_sum_to_the_rate():
    toy = Toy(latent=4)
    evidence = toy.evidence()
    mean, variance = toy.mean.detach().numpy(), (2 * toy.log_deviation.detach()).exp().numpy()
    expected = 0.5 * (mean**2 + variance - 1 - np.log(variance))
    np.testing.assert_allclose(evidence.rates.detach(), expected, rtol=1e-10)
    np.testing.assert_allclose(evidence.rate.detach(), expected.sum(1), rtol=1e-10)


def test_a_rate_in_closed_form_that_is_no_sum_over_dimensions():
    toy = Toy()
    full = MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64) * 4)
    evidence = toy.evidence(posterior=toy.exact_posterior(), prior=full)
    assert evidence.rates is None
    np.testing.assert_allclose(evidence.rate.detach(), kl_divergence(evidence.posterior, full).detach())


def test_a_rate_without_closed_form_is_its_mean_over_the_draws():
    prior = mixture()
    evidence = Toy().evidence(draws=6, prior=prior)
    codes = evidence.code
    expected = (evidence.posterior.log_prob(codes) - prior.log_prob(codes)).detach().numpy().mean(0)
    assert evidence.rates is None
    np.testing.assert_allclose(evidence.rate.detach(), expected, rtol=1e-12)
