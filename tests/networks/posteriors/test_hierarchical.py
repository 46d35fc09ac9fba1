import numpy as np
import torch
from scipy.stats import norm
from torch import nn

from duogen.networks.dense import MlpEncoder
from duogen.networks.posteriors.hierarchical import HierarchicalPosterior


def posterior():
    torch.manual_seed(0)
    return HierarchicalPosterior(MlpEncoder([4], 6, 1, nn.Tanh(), None), 5, 3, 7, 1, nn.Tanh())


def numbers(layers, values):
    """Means and standard deviations that a network says, in numpy."""
    said = values
    for layer in layers:
        if isinstance(layer, nn.Linear):
            said = said @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        else:
            said = np.tanh(said)
    mean, raw = np.split(said, 2, axis=-1)
    return mean, np.exp(4 * np.tanh(raw / 8))


def test_the_density_is_that_of_the_lower_layer_and_of_the_upper_one_given_it():
    network, examples = posterior(), torch.randn(2, 4)
    said = network(examples)
    assert (said.batch_shape, said.event_shape) == ((2,), (5,))
    assert network.latent_dim == 5
    code = said.sample((8,))
    below, above = np.split(code.numpy(), [3], axis=-1)
    mean, scale = numbers([*network.encoder.layers, network.head], examples.numpy())
    upper_mean, upper_scale = numbers(network.upward, below)
    expected = norm.logpdf(below, mean, scale).sum(-1) + norm.logpdf(above, upper_mean, upper_scale).sum(-1)
    np.testing.assert_allclose(said.log_prob(code).detach(), expected, rtol=1e-4)


def test_every_parameter_learns_from_a_draw():
    network = posterior()
    network(torch.randn(2, 4)).rsample((3,)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
