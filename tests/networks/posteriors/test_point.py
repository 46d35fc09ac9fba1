import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from duogen.errors import UserError
from duogen.networks.dense import MlpEncoder
from duogen.networks.posteriors.point import Point, PointPosterior
from duogen.objectives.variational.evidence import Evidence


def test_every_draw_is_the_affine_map_of_the_features():
    encoder = MlpEncoder(shape=(4,), width=6, depth=1, activation=torch.nn.Tanh(), classes=None)
    posterior = PointPosterior(encoder, latent_dim=2)
    examples = torch.randn(3, 4)
    said = posterior(examples)
    weight, bias = (parameter.detach().numpy() for parameter in posterior.head.parameters())
    expected = encoder(examples).detach().numpy() @ weight.T + bias
    codes = said.rsample(torch.Size([5]))
    assert codes.shape == (5, 3, 2)
    np.testing.assert_allclose(codes.detach(), np.broadcast_to(expected, (5, 3, 2)), rtol=1e-5, atol=1e-6)
    assert said.batch_shape == (3,)
    assert said.event_shape == (2,)


def test_labels_reach_the_encoder():
    encoder = MlpEncoder(shape=(4,), width=6, depth=1, activation=torch.nn.Tanh(), classes=3)
    posterior, examples = PointPosterior(encoder, latent_dim=2), torch.zeros(3, 4)
    first, second = (posterior(examples, torch.full((3,), label)).mean for label in (0, 2))
    assert (first != second).all()


def test_gradients_reach_the_point_from_every_draw():
    point = torch.zeros(3, 2, requires_grad=True)
    Point(point).rsample(torch.Size([5])).sum().backward()
    np.testing.assert_array_equal(point.grad, np.full((3, 2), 5.0))


def test_its_mean_is_itself_and_its_variance_0():
    point = torch.randn(3, 2)
    np.testing.assert_array_equal(Point(point).mean, point)
    np.testing.assert_array_equal(Point(point).variance, np.zeros((3, 2)))
    np.testing.assert_array_equal(Point(point).sample(), point)
    assert not Point(point.requires_grad_()).sample().requires_grad
    assert "Point" in repr(Point(point))


def test_it_has_no_density_and_so_no_rate():
    said, prior = Point(torch.zeros(3, 2)), Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    with pytest.raises(UserError, match="rae_l2"):
        said.log_prob(torch.zeros(3, 2))
    code = said.rsample(torch.Size([1]))
    with pytest.raises(UserError, match="wae_mmd"):
        _ = Evidence(said, prior, code, torch.zeros(1, 3), 10, 0, lambda codes: codes.sum(2), said, ()).rate
