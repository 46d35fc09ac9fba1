import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.conv import ConvDecoder, ConvEncoder, halved

N, LATENT = 4, 6
# The sides of the maps from the image inwards.
SIDES = {
    (2, 64, 64): [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)],
    (1, 28, 28): [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)],
    (3, 9, 7): [(9, 7), (5, 4), (3, 2), (2, 1)],
    (1, 2, 2): [(2, 2), (1, 1)],
}
WIDTHS = [3, 5, 7, 4]


def encoder(shape, widths, kernel=4, hidden=(8,), batch_norm=False, activation=None, classes=None):
    torch.manual_seed(0)
    return ConvEncoder(shape, widths, kernel, hidden, batch_norm, activation or nn.ReLU(), classes)


def decoder(shape, widths, kernel=4, hidden=(8,), batch_norm=False, activation=None, classes=None, latent_dim=LATENT):
    torch.manual_seed(0)
    return ConvDecoder(shape, latent_dim, widths, kernel, hidden, batch_norm, activation or nn.ReLU(), classes)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def trace(network, values):
    """The (channels, rows, columns) of every convolution's output, in order."""
    seen = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, __, output: seen.append(tuple(output.shape[1:])))
    return network(values), seen


@pytest.mark.parametrize("kernel", [2, 4, 6])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("shape", SIDES)
def test_each_width_halves_the_image_and_the_decoder_mirrors_it(shape, kernel, batch_norm):
    sides = SIDES[shape]
    widths = WIDTHS[: len(sides) - 1]
    maps = [(width, *side) for width, side in zip([shape[0], *widths], sides, strict=True)]
    features, seen = trace(encoder(shape, widths, kernel, (8, 9), batch_norm), torch.randn(N, *shape))
    assert features.shape == (N, 9)
    assert seen == maps[1:]
    numbers, seen = trace(decoder(shape, widths, kernel, (8, 9), batch_norm), torch.randn(N, LATENT))
    assert numbers.shape == (N, *shape)
    assert seen == maps[-2::-1]
    assert halved("Net", shape, widths, "encoder") == sides


def test_published_networks_have_the_published_sizes():
    # Higgins et al. 2017, table 1: the codes' own layer, of 10 means and 10 log-variances, stands in the posterior.
    wide = [32, 32, 64, 64]
    shrinking = (16 + 1) * 32 + (16 * 32 + 1) * 32 + (16 * 32 + 1) * 64 + (16 * 64 + 1) * 64
    assert parameters(encoder((1, 64, 64), wide, hidden=[256])) == shrinking + (1024 + 1) * 256 == 377_792
    growing = (16 * 64) * 64 + 64 + 16 * 64 * 32 + 32 + 16 * 32 * 32 + 32 + 16 * 32 + 1
    expected = 11 * 256 + 257 * 1024 + growing
    assert parameters(decoder((1, 64, 64), wide, hidden=[256], latent_dim=10)) == expected == 381_313
    # Burgess et al. 2018, appendix A.
    narrow = [32] * 4
    shrinking = 17 * 32 + 3 * 513 * 32
    expected = shrinking + 513 * 256 + 257 * 256
    assert parameters(encoder((1, 64, 64), narrow, hidden=[256, 256])) == expected == 246_912
    # Ghosh et al. 2020: no hidden layer, and batch norm takes the place of the biases.
    widths = [128, 256, 512, 1024]
    shrinking = 16 * (1 * 128 + 128 * 256 + 256 * 512 + 512 * 1024) + 2 * sum(widths)
    with torch.device("meta"):
        network = encoder((1, 28, 28), widths, hidden=[], batch_norm=True)
        growing = decoder((1, 28, 28), widths[1:], hidden=[], batch_norm=True, latent_dim=16)
    assert parameters(network) == shrinking == 11_015_936
    assert network.feature_dim == 1024 * 2 * 2
    expected = 17 * 4 * 4 * 1024 + 2 * 1024 + 16 * 1024 * 512 + 512 + 2 * 512 + 16 * 512 * 256 + 256 + 2 * 256
    assert parameters(growing) == expected + 16 * 256 + 1


def test_the_encoder_equals_numpy():
    """Without padding on even sides, a 2x2 kernel at stride 2 is an affine map of each patch."""
    network, images = encoder((3, 4, 6), [5], 2, [], activation=nn.Tanh()), torch.randn(N, 3, 4, 6)
    weight, bias = (p.detach().numpy() for p in network.parameters())
    patches = images.numpy().reshape(N, 3, 2, 2, 3, 2).transpose(0, 2, 4, 1, 3, 5).reshape(N, 2, 3, 12)
    expected = np.tanh(patches @ weight.reshape(5, 12).T + bias).transpose(0, 3, 1, 2).reshape(N, 30)
    np.testing.assert_allclose(network(images).detach(), expected, rtol=1e-5, atol=1e-6)
    assert network.feature_dim == 30


def test_the_decoder_equals_numpy():
    network, codes = decoder((3, 4, 6), [5], 2, [], activation=nn.Tanh()), torch.randn(N, LATENT)
    a, b, weight, bias = (p.detach().numpy() for p in network.parameters())
    first = np.tanh(codes.numpy() @ a.T + b).reshape(N, 5, 2, 3)
    expected = np.einsum("nirc,iohw->norhcw", first, weight).reshape(N, 3, 4, 6) + bias[:, None, None]
    np.testing.assert_allclose(network(codes).detach(), expected, rtol=1e-5, atol=1e-5)


def test_a_transposed_convolution_is_the_transpose_on_odd_sides_too():
    """<conv(x), y> = <x, transposed(y)> for equal weights without biases, by which the two share their padding."""
    for shape in ((1, 9, 7), (1, 8, 5)):
        forth = encoder(shape, [2, 3], 4, []).layers[0].double()
        back = decoder(shape, [2, 3], 4, []).layers[-1].double()
        image, maps = torch.randn(1, *shape).double(), torch.randn(1, 2, -(-shape[1] // 2), -(-shape[2] // 2)).double()
        with torch.no_grad():
            back.weight.copy_(forth.weight)
            forth.bias.zero_()
            back.bias.zero_()
        assert (forth(image) * maps).sum().item() == pytest.approx((image * back(maps)).sum().item(), rel=1e-9)


def test_layers_in_order():
    network = encoder((1, 8, 8), [3, 5], batch_norm=True, activation=nn.ELU())
    kinds = [nn.Conv2d, nn.BatchNorm2d, nn.ELU] * 2 + [nn.Flatten, nn.Linear, nn.ELU]
    assert [type(layer) for layer in network.layers] == kinds
    assert [layer.bias is None for layer in network.layers if isinstance(layer, nn.Conv2d)] == [True, True]
    network = decoder((1, 8, 8), [3, 5], batch_norm=True, activation=nn.ELU())
    kinds = [nn.Linear, nn.ELU, nn.Linear, nn.Unflatten] + [nn.BatchNorm2d, nn.ELU, nn.ConvTranspose2d] * 2
    assert [type(layer) for layer in network.layers] == kinds


def test_the_class_is_appended_as_maps():
    network, images = encoder((1, 4, 4), [2], 2, [], classes=3), torch.randn(N, 1, 4, 4)
    labels = torch.tensor([2, 0, 1, 2])
    maps = nn.functional.one_hot(labels, 3)[:, :, None, None].expand(-1, -1, 4, 4)
    assert torch.equal(network(images, labels), network.layers(torch.cat([images, maps], 1)))


@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (0, 8, 8), (1, 1, 8), (1, 8, 1), (1, 1, 8, 8)])
def test_refuses_a_shape_by_name(shape):
    for build, name, role in ((encoder, "ConvEncoder", "encoder"), (decoder, "ConvDecoder", "decoder")):
        with pytest.raises(UserError) as caught:
            build(shape, [3])
        assert caught.value.given == f"{name}: shape {shape}"
        assert f"use {role}=mlp" in caught.value.remedy


@pytest.mark.parametrize(
    ("side", "most"), [((2, 9), 1), ((3, 3), 2), ((4, 4), 2), ((5, 8), 3), ((8, 8), 3), ((9, 9), 4)]
)
def test_refuses_more_halvings_than_sides_allow_and_names_how_many(side, most):
    shape, widths = (1, *side), [6, 5, 4, 3, 2]
    assert halved("Net", shape, widths[:most], "encoder")[-1][side.index(min(side))] == 1
    with pytest.raises(UserError) as caught:
        decoder(shape, widths[: most + 1])
    assert caught.value.given == f"ConvDecoder: widths={widths[: most + 1]} for images of {side[0]}x{side[1]}"
    assert caught.value.allowed.startswith(f"1 to {most} widths")
    assert caught.value.remedy == f"decoder.widths=[{','.join(map(str, widths[:most]))}]"


def test_refuses_sizes_by_name():
    for build in (encoder, decoder):
        with pytest.raises(UserError, match=r"widths=\[\]"):
            build((1, 8, 8), [])
        with pytest.raises(UserError, match="widths=0"):
            build((1, 8, 8), [3, 0])
        with pytest.raises(UserError, match="hidden_widths=-1"):
            build((1, 8, 8), [3], hidden=[2, -1])
        with pytest.raises(UserError, match="classes=0"):
            build((1, 8, 8), [3], classes=0)
        for kernel in (0, 3, -2):
            with pytest.raises(UserError, match=f"kernel={kernel}"):
                build((1, 8, 8), [3], kernel)
    with pytest.raises(UserError, match="ConvDecoder: latent_dim=0"):
        decoder((1, 8, 8), [3], latent_dim=0)
