import numpy as np
import torch
from scipy.stats import norm
from torch import nn

from duogen.networks.dense import MlpEncoder
from duogen.networks.posteriors.hierarchical import HierarchicalPosterior
from duogen.networks.priors.hierarchical import HierarchicalPrior


def refused(values):
    raise AssertionError


def test_the_density_is_that_of_the_upper_layer_and_of_the_lower_one_given_it():
    torch.manual_seed(0)
    prior = HierarchicalPrior(5, 3, 7, 1, nn.Tanh())
    believed = prior(refused)
    assert (believed.batch_shape, believed.event_shape) == ((), (5,))
    code = believed.sample((9,))
    below, above = np.split(code.numpy(), [3], axis=-1)
    first, _, last = prior.downward
    inner = np.tanh(above @ first.weight.detach().numpy().T + first.bias.detach().numpy())
    mean, raw = np.split(inner @ last.weight.detach().numpy().T + last.bias.detach().numpy(), 2, axis=-1)
    expected = norm.logpdf(above).sum(-1) + norm.logpdf(below, mean, np.exp(4 * np.tanh(raw / 8))).sum(-1)
    np.testing.assert_allclose(believed.log_prob(code).detach(), expected, rtol=1e-4)


def test_posterior_and_prior_agree_on_which_layer_is_which():
    encoder = MlpEncoder([4], 6, 1, nn.Tanh(), None)
    upward = HierarchicalPosterior(encoder, 5, 2, 7, 1, nn.Tanh())(torch.randn(2, 4))
    downward = HierarchicalPrior(5, 2, 7, 1, nn.Tanh())(refused)
    below, above = upward.apart(torch.arange(10.0).view(2, 5))
    assert (below.shape, above.shape) == ((2, 2), (2, 3))
    assert all(map(torch.equal, downward.apart(torch.arange(10.0).view(2, 5)), (above, below)))


def test_draws_follow_the_density():
    """What is said of a plane of codes adds up to 1, and its moments are those of draws."""
    torch.manual_seed(0)
    prior = HierarchicalPrior(2, 1, 7, 1, nn.Tanh())
    with torch.no_grad():
        prior.downward[-1].weight.mul_(3)
    line = torch.linspace(-7, 7, 281)
    points = torch.cartesian_prod(line, line)
    with torch.no_grad():
        mass = prior(refused).log_prob(points).double().exp() * 0.05**2
        drawn = prior(refused).sample((20_000,)).double()
    assert abs(float(mass.sum()) - 1) < 1e-3
    moments = (mass[:, None] * points).sum(0), (mass * points.prod(1)).sum()
    torch.testing.assert_close(drawn.mean(0), moments[0], rtol=0, atol=0.03)
    torch.testing.assert_close(drawn.prod(1).mean(), moments[1], rtol=0, atol=0.05)
    assert abs(float(moments[1])) > 0.1
