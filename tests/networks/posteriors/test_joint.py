import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.distributions import Independent, Normal

from duogen.errors import UserError
from duogen.networks.posteriors.joint import Downward, Upward, between, top_of

DOUBLE = torch.float64


def normal(mean, scale):
    return Independent(Normal(mean, torch.full_like(mean, scale)), 1)


def joint(kind, batch=(4,)):
    """a of 2 dimensions, b of 3 around W a + 1, with scales 0.5 and 0.25."""
    mean = torch.arange(2 * int(np.prod(batch)), dtype=DOUBLE).view(*batch, 2) / 3
    weight = torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]], dtype=DOUBLE)
    return kind(normal(mean, 0.5), lambda a: normal(a @ weight.T + 1, 0.25), 5), mean.numpy(), weight.numpy()


@pytest.mark.parametrize(("kind", "first"), [(Upward, slice(0, 2)), (Downward, slice(3, 5))])
def test_density_is_that_of_a_and_of_b_given_it(kind, first):
    distribution, mean, weight = joint(kind)
    assert (distribution.batch_shape, distribution.event_shape) == ((4,), (5,))
    code = distribution.rsample((6,))
    assert code.shape == (6, 4, 5)
    a = code[..., first].numpy()
    b = np.delete(code.numpy(), np.r_[first], axis=-1)
    expected = norm.logpdf(a, mean, 0.5).sum(-1) + norm.logpdf(b, a @ weight.T + 1, 0.25).sum(-1)
    np.testing.assert_allclose(distribution.log_prob(code), expected)


@pytest.mark.parametrize("kind", [Upward, Downward])
def test_parts_are_put_together_as_they_are_taken_apart(kind):
    code = torch.arange(10.0).view(2, 5)
    distribution, *_ = joint(kind)
    a, b = distribution.apart(code)
    assert (a.shape, b.shape) == ((2, 2), (2, 3))
    assert torch.equal(distribution.joined(a, b), code)


def test_draws_have_the_moments_of_the_linear_model():
    distribution, mean, weight = joint(Upward, batch=())
    torch.manual_seed(0)
    drawn = distribution.sample((40_000,)).numpy()
    both = np.vstack([np.eye(2), weight])
    covariance = 0.25 * both @ both.T + np.diag([0, 0, *[0.0625] * 3])
    np.testing.assert_allclose(drawn.mean(0), np.concatenate([mean, weight @ mean + 1]), atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.06)


def test_gradients_pass_through_both_layers():
    start = torch.zeros(2, requires_grad=True)
    scale = torch.ones((), requires_grad=True)
    distribution = Upward(normal(start, 1.0), lambda a: normal(scale * a, 1.0), 4)
    distribution.rsample((3,))[:, 2:].sum().backward()
    assert start.grad is not None
    assert start.grad.tolist() == [3.0, 3.0]
    assert scale.grad is not None
    assert not distribution.sample((3,)).requires_grad


def test_the_mean_of_b_is_exact_where_a_tells_nothing_of_it():
    """A unit that is not used must not look active by the noise of its mean."""
    distribution = Upward(normal(torch.zeros(4, 2), 1.0), lambda a: normal(a[..., :1] * 0 + 2.5, 1.0), 3)
    assert distribution.mean.tolist() == [[0.0, 0.0, 2.5]] * 4


def test_the_mean_of_b_follows_the_mean_of_a():
    distribution, mean, weight = joint(Upward)
    torch.manual_seed(0)
    found = distribution.mean.numpy()
    np.testing.assert_array_equal(found[:, :2], mean)
    spread = 0.5 * np.sqrt((weight**2).sum(1)) / 64**0.5
    assert (np.abs(found[:, 2:] - (mean @ weight.T + 1)) <= 4 * spread + 1e-9).all()


def test_the_network_between_layers_has_the_sizes_asked_for():
    network = between(3, 2, 5, 2, torch.nn.Tanh())
    linear = [(layer.in_features, layer.out_features) for layer in network if isinstance(layer, torch.nn.Linear)]
    assert linear == [(3, 5), (5, 5), (5, 4)]
    assert [type(layer) for layer in between(3, 2, 5, 0, torch.nn.Tanh())] == [torch.nn.Linear]


@pytest.mark.parametrize("bottom", [0, 4, 5, -1])
def test_a_layer_without_dimensions_is_refused(bottom):
    assert top_of(4, 3) == 1
    with pytest.raises(UserError, match=f"bottom_dim={bottom} of latent_dim=4"):
        top_of(4, bottom)
