import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.gated import GatedDecoder, GatedDense, GatedEncoder

N, LATENT, WIDTH = 4, 6, 7


def encoder(shape, width=WIDTH, depth=2, classes=None):
    torch.manual_seed(0)
    return GatedEncoder(shape, width, depth, classes)


def decoder(shape, latent_dim=LATENT, width=WIDTH, depth=2, classes=None):
    torch.manual_seed(0)
    return GatedDecoder(shape, latent_dim, width, depth, classes)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def gated(values, linear):
    weight, bias = (p.detach().numpy() for p in linear.parameters())
    (a, b), (c, d) = np.split(weight, 2), np.split(bias, 2)
    return (values @ a.T + c) / (1 + np.exp(-(values @ b.T + d)))


def test_a_gated_layer_equals_numpy():
    torch.manual_seed(0)
    layer, values = GatedDense(3, 2), torch.randn(N, 3)
    np.testing.assert_allclose(layer(values).detach(), gated(values.numpy(), layer.linear), rtol=1e-5, atol=1e-6)


def test_the_networks_equal_numpy():
    examples, codes, labels = torch.randn(N, 2, 3, 1), torch.randn(N, LATENT), torch.tensor([1, 0, 2, 1])
    known = np.eye(3, dtype=np.float32)[labels]
    network = encoder((2, 3, 1), depth=1, classes=3)
    expected = gated(np.concatenate([examples.flatten(1), known], 1), network.layers[0].linear)
    np.testing.assert_allclose(network(examples, labels).detach(), expected, rtol=1e-5, atol=1e-6)
    network = decoder((2, 3, 1), depth=1, classes=3)
    values = gated(np.concatenate([codes, known], 1), network.layers[0].linear)
    weight, bias = (p.detach().numpy() for p in network.layers[1].parameters())
    expected = (values @ weight.T + bias).reshape(N, 2, 3, 1)
    np.testing.assert_allclose(network(codes, labels).detach(), expected, rtol=1e-5, atol=1e-6)


def test_the_published_networks():
    # Two gates of 784 x 300 and 300 x 300 weights; the code has 40 numbers.
    assert parameters(encoder((1, 28, 28), 300)) == 2 * (784 * 300 + 300) + 2 * (300 * 300 + 300) == 651_600
    assert parameters(decoder((1, 28, 28), 40, 300)) == 2 * 12_300 + 2 * 90_300 + 300 * 784 + 784 == 441_184


@pytest.mark.parametrize("depth", [1, 3])
def test_depth_counts_gated_layers(depth):
    for network, last in ((encoder((5,), depth=depth), 0), (decoder((5,), depth=depth), 1)):
        assert sum(isinstance(layer, GatedDense) for layer in network.modules()) == depth
        assert sum(isinstance(layer, nn.Linear) for layer in network.modules()) == depth + last


@pytest.mark.parametrize("shape", [(), (28, 28), (0,), (1, 0, 8)])
def test_refuses_a_shape_by_name(shape):
    for build, name in ((encoder, "GatedEncoder"), (decoder, "GatedDecoder")):
        with pytest.raises(UserError) as caught:
            build(shape)
        assert caught.value.given == f"{name}: shape {shape}"
        assert "(D,) or (C, H, W)" in caught.value.allowed


def test_refuses_sizes_by_name():
    for sizes in ({"width": 0}, {"depth": 0}, {"classes": 0}):
        (name,) = sizes
        with pytest.raises(UserError, match=f"GatedEncoder: {name}=0"):
            encoder((5,), **sizes)
        with pytest.raises(UserError, match=f"GatedDecoder: {name}=0"):
            decoder((5,), **sizes)
    with pytest.raises(UserError, match="GatedDecoder: latent_dim=0"):
        decoder((5,), latent_dim=0)
