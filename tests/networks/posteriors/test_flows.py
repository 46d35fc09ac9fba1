import pytest
import torch
from torch.autograd.functional import jacobian

from networks.posteriors.built import built, examples

FLOWS = ["iaf", "maf", "planar", "realnvp"]


@pytest.mark.parametrize("stem", FLOWS)
def test_density_is_the_bases_by_the_change_of_volume(stem):
    posterior = built(stem, latent_dim=3)[0](examples(1))
    origin = posterior.base.sample()
    value = posterior.transform(origin)
    growth = jacobian(lambda z: posterior.transform(z[None])[0], origin[0]).slogdet()[1]
    expected = posterior.base.log_prob(origin) - growth
    torch.testing.assert_close(posterior.log_prob(value), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stem", FLOWS)
def test_draws_are_moved_by_features(stem):
    network = built(stem, latent_dim=3)[0]
    one = network(examples(1)).transform
    other = network(examples(1) + 1).transform
    point = torch.ones(1, 3)
    assert (one(point) - other(point)).abs().max() > 1e-3


@pytest.mark.parametrize("stem", ["iaf", "maf"])
def test_the_density_of_a_draw_runs_each_network_once_and_of_another_point_many_times(stem):
    network = built(stem, latent_dim=4)[0]
    calls = []
    for layer in network.flow.transforms:
        layer.hyper.register_forward_hook(lambda *_: calls.append(1))
    posterior = network(examples())
    code = posterior.rsample((2,))
    posterior.log_prob(code)
    assert len(calls) == 3
    posterior.log_prob(code.clone())
    assert len(calls) == 3 + 3 * 4 + 3


def test_what_was_drawn_without_gradients_is_differentiable_afterwards():
    posterior = built("realnvp", latent_dim=3)[0](examples())
    code = posterior.sample((2,)).requires_grad_()
    (slope,) = torch.autograd.grad(posterior.log_prob(code).sum(), code)
    assert (slope.abs().sum(-1) > 1e-3).all()


def test_only_the_last_draw_is_remembered():
    posterior = built("realnvp", latent_dim=3)[0](examples())
    first = posterior.rsample((2,))
    density = posterior.log_prob(first)
    posterior.rsample((2,))
    torch.testing.assert_close(posterior.log_prob(first), density, rtol=1e-4, atol=1e-4)


def test_a_density_at_points_that_examples_share():
    posterior = built("maf", latent_dim=3)[0](examples())
    points = torch.randn(5, 1, 3)
    torch.testing.assert_close(posterior.log_prob(points), posterior.log_prob(points.repeat(1, 2, 1)))
