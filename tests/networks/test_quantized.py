import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.quantized import VqDecoder, VqEncoder

N, D, WIDTH = 5, 3, 6
SHAPES = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (2, 8, 12)]


def encoder(shape=(1, 8, 8), blocks=2, classes=None):
    torch.manual_seed(0)
    return VqEncoder(shape, WIDTH, blocks, classes)


def decoder(shape=(1, 8, 8), blocks=2, classes=None):
    torch.manual_seed(0)
    return VqDecoder(shape, D, WIDTH, blocks, classes)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_map_of_a_quarter_of_the_sides_comes_out_and_goes_in(shape):
    network, images = encoder(shape), torch.randn(N, *shape)
    features = network(images)
    assert network.places == (shape[1] // 4, shape[2] // 4)
    assert features.shape == (N, network.feature_dim, *network.places)
    assert decoder(shape)(torch.randn(N, D, *network.places)).shape == images.shape


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_the_layers_are_the_papers(blocks):
    kinds = []
    for network in (encoder(blocks=blocks), decoder(blocks=blocks)):
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        kinds.append([(type(layer), layer.kernel_size[0], layer.stride[0]) for layer in layers])
    block = [(nn.Conv2d, 3, 1), (nn.Conv2d, 1, 1)]
    assert kinds[0] == [(nn.Conv2d, 4, 2)] * 2 + block * blocks
    assert kinds[1] == [(nn.Conv2d, 3, 1), *block * blocks, *[(nn.ConvTranspose2d, 4, 2)] * 2]


def test_a_block_adds_to_what_it_gets():
    network, images = encoder(), torch.randn(N, 1, 8, 8)
    with torch.no_grad():
        for layer in network.layers[3:5]:
            layer.branch[-1].weight.zero_()
            layer.branch[-1].bias.zero_()
    torch.testing.assert_close(network(images), network.layers[:3](images).relu())


@pytest.mark.parametrize("network", [encoder((2, 8, 12)), decoder((2, 8, 12))])
def test_every_parameter_and_the_input_receive_a_finite_gradient(network):
    shape = (N, 2, 8, 12) if isinstance(network, VqEncoder) else (N, D, 2, 3)
    given = torch.randn(shape, requires_grad=True)
    network(given).square().sum().backward()
    for name, parameter in [*network.named_parameters(), ("input", given)]:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(("build", "given"), [(encoder, (2, 8, 12)), (decoder, (D, 2, 3))])
def test_the_class_is_appended_as_maps(build, given):
    network, values, labels = build((2, 8, 12), classes=4), torch.randn(N, *given), torch.tensor([3, 0, 1, 3, 2])
    maps = torch.zeros(N, 4, *given[1:])
    maps[torch.arange(N), labels] = 1
    torch.testing.assert_close(network(values, labels), network.layers(torch.cat([values, maps], 1)))
    with pytest.raises(UserError, match="without labels"):
        network(values)


def test_nothing_depends_on_another_example():
    images, network = torch.randn(N, 1, 8, 8), encoder()
    torch.testing.assert_close(network(images[2:]), network(images)[2:])


@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (1, 30, 28), (1, 28, 30)])
def test_refuses_a_shape_by_name(shape):
    for network in (encoder, decoder):
        with pytest.raises(UserError) as caught:
            network(shape)
        assert caught.value.given.endswith(f": shape {shape}")
        assert "encoder=mlp" in caught.value.remedy


def test_refuses_sizes_by_name():
    with pytest.raises(UserError, match="VqEncoder: width=0"):
        VqEncoder((1, 8, 8), 0, 2, None)
    with pytest.raises(UserError, match="VqEncoder: blocks=-1"):
        VqEncoder((1, 8, 8), 4, -1, None)
    with pytest.raises(UserError, match="VqDecoder: latent_dim=0"):
        VqDecoder((1, 8, 8), 0, 4, 2, None)
