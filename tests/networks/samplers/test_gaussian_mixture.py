"""Expectation maximisation finds a known mixture, and says the densities that scikit-learn says."""

import pytest
import torch
from sklearn.mixture import GaussianMixture

from duogen.errors import UserError
from duogen.networks.samplers.gaussian_mixture import GaussianMixtureSampler

MEANS = torch.tensor([[0.0, 0, 0], [6, 0, 0], [0, 6, 6]])
SHARES = torch.tensor([0.5, 0.3, 0.2])


def codes(count=3000):
    generator = torch.Generator().manual_seed(3)
    chosen = torch.multinomial(SHARES, count, replacement=True, generator=generator)
    return MEANS[chosen] + torch.randn(count, 3, generator=generator) * torch.tensor([1.0, 0.5, 0.2])


def fitted(seed, components=3, iterations=100):
    sampler = GaussianMixtureSampler(3, None, components, iterations, 1e-6)
    return sampler, sampler.fit(codes(), None, torch.Generator().manual_seed(seed))


def test_a_known_mixture_is_recovered():
    sampler, said = fitted(0)
    order = torch.cdist(MEANS.double(), sampler.means[0]).argmin(1)
    assert sorted(order.tolist()) == [0, 1, 2]
    assert sampler.means[0, order].numpy() == pytest.approx(MEANS.numpy(), abs=0.15)
    assert sampler.weights[0, order].tolist() == pytest.approx(SHARES.tolist(), abs=0.03)
    deviations = (sampler.factors[0] @ sampler.factors[0].mT).diagonal(dim1=1, dim2=2).sqrt()
    assert deviations.numpy() == pytest.approx(torch.tensor([1.0, 0.5, 0.2]).expand(3, -1).numpy(), abs=0.1)
    assert said == "converged"


def test_densities_are_those_of_scikit_learn():
    sampler, _ = fitted(0)
    reference = GaussianMixture(3, random_state=0).fit(codes().double().numpy())
    found = sampler.log_prob(codes()[:20], None)
    assert found.numpy() == pytest.approx(reference.score_samples(codes()[:20].double().numpy()), abs=1e-3)


def test_the_generator_alone_decides():
    first, second = fitted(7, components=5)[0], fitted(7, components=5)[0]
    assert torch.equal(first.means, second.means)
    assert not torch.equal(first.means, fitted(8, components=5)[0].means)


def test_too_few_iterations_are_said():
    assert fitted(0, components=5, iterations=1)[1] == "stopped after 1 iterations"


def test_more_components_than_codes_are_refused():
    with pytest.raises(UserError, match="4 codes"):
        GaussianMixtureSampler(3, None, 5, 10, 1e-6).fit(torch.randn(4, 3), None, torch.Generator())


def test_components_without_a_spread_are_refused():
    twice = torch.tensor([[0.0, 0, 0], [1, 1, 1]]).repeat(5, 1)
    with pytest.raises(UserError, match="GaussianMixtureSampler: codes without a positive covariance"):
        GaussianMixtureSampler(3, None, 2, 10, 0.0).fit(twice, None, torch.Generator())
