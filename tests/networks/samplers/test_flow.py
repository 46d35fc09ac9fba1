"""The flow is a density, its draws invert it, and it says more of two moons than a Gaussian does."""

import pytest
import torch
from sklearn.datasets import make_moons
from torch import nn

from duogen.networks.samplers.descent import Descent
from duogen.networks.samplers.flow import FlowSampler
from duogen.networks.samplers.gaussian import GaussianSampler


def moons(count, seed):
    values, labels = make_moons(count, noise=0.05, random_state=seed)
    return torch.tensor(values, dtype=torch.float32) * 3 + 7, torch.tensor(labels)


def flow(classes=None, steps=200, seed=0):
    torch.manual_seed(seed)
    return FlowSampler(2, classes, 3, 32, 2, nn.ReLU(), Descent(5e-3, 128, steps, 50, 5))


@pytest.fixture(scope="module")
def fitted():
    sampler = flow()
    sampler.fit(moons(1500, 1)[0], None, torch.Generator().manual_seed(1))
    return sampler


@torch.no_grad()
def test_held_out_moons_are_likelier_than_under_a_gaussian(fitted):
    gaussian = GaussianSampler(2, None, 1e-6)
    gaussian.fit(moons(1500, 1)[0], None, torch.Generator())
    unseen = moons(500, 2)[0]
    assert fitted.log_prob(unseen, None).mean() > gaussian.log_prob(unseen, None).mean() + 0.5


@torch.no_grad()
def test_the_density_sums_to_one(fitted):
    axis = torch.linspace(-5, 20, 251)
    places = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)
    assert float(fitted.log_prob(places, None).exp().sum()) * 0.1**2 == pytest.approx(1, abs=0.02)


@torch.no_grad()
def test_a_draw_is_where_its_noise_comes_from(fitted):
    noise = torch.randn(9, 2, generator=torch.Generator().manual_seed(4))
    back = fitted.flow(None)((fitted(noise, None) - fitted.mean) / fitted.scale)
    assert torch.allclose(back, noise, atol=1e-3)


def test_classes_are_drawn_apart():
    sampler, (values, labels) = flow(classes=2, steps=200), moons(1500, 1)
    sampler.fit(values, labels, torch.Generator().manual_seed(1))
    told = torch.arange(400) % 2
    drawn = sampler(torch.randn(400, 2, generator=torch.Generator().manual_seed(0)), told).detach()
    nearest = labels[torch.cdist(drawn, values).argmin(1)]
    assert (nearest == told).float().mean() > 0.9
