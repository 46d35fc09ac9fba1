import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from duogen.errors import UserError
from duogen.networks.normalization import ConditionalBatchNorm2d
from duogen.networks.resnet import (
    Residual,
    ResnetDiscriminator,
    ResnetEncoder,
    ResnetGenerator,
    SumPool,
    convolution,
    down,
    optimised,
    plain,
    up,
)

N, LATENT, WIDTH = 5, 6, 4
SHAPES = [(1, 8, 8), (1, 28, 28), (1, 32, 32), (3, 32, 32), (6, 32, 32), (9, 16, 16), (3, 64, 64)]


def generator(shape, width=WIDTH, classes=None):
    torch.manual_seed(0)
    return ResnetGenerator(shape, LATENT, width, classes)


def discriminator(shape, width=WIDTH, spectral_norm=False, equalized=False, minibatch_std=False):
    torch.manual_seed(0)
    return ResnetDiscriminator(shape, width, spectral_norm, equalized, minibatch_std)


def trace(network, *inputs):
    """The (side, channels) of every residual block's output, in order."""
    seen = []
    for layer in network.modules():
        if isinstance(layer, Residual):
            layer.register_forward_hook(lambda _, __, output: seen.append((output.shape[3], output.shape[1])))
    return network(*inputs), seen


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [None, 3])
def test_generator_shapes_and_range(shape, classes):
    images = generator(shape, classes=classes)(100 * torch.randn(N, LATENT), torch.tensor([0, 2, 1, 0, 2]))
    assert images.shape == (N, *shape)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("minibatch_std", [False, True])
def test_discriminator_shapes(shape, spectral_norm, minibatch_std):
    network, images = discriminator(shape, WIDTH, spectral_norm, False, minibatch_std).eval(), torch.randn(N, *shape)
    features = network.features(images)
    assert features.shape == (N, network.feature_dim)
    assert network(images).shape == (N,)
    assert torch.equal(network(images), network.output(features)[:, 0])


# Tables 4, 5 and 6 of Miyato et al. 2018: the generator's first map and blocks, the discriminator's blocks.
PUBLISHED = {
    (32, 256): [(4, 256), (8, 256), (16, 256), (32, 256)],
    (48, 64): [(6, 512), (12, 256), (24, 128), (48, 64)],
    (128, 64): [(4, 1024), (8, 1024), (16, 512), (32, 256), (64, 128), (128, 64)],
}
PUBLISHED_D = {
    (32, 128): [(16, 128), (8, 128), (8, 128), (8, 128)],
    (48, 64): [(24, 64), (12, 128), (6, 256), (3, 512), (3, 1024)],
    (128, 64): [(64, 64), (32, 128), (16, 256), (8, 512), (4, 1024), (4, 1024)],
    (64, 64): [(32, 64), (16, 128), (8, 256), (4, 512), (4, 1024)],
}


@pytest.mark.parametrize(("side", "width"), PUBLISHED)
def test_the_published_generators(side, width):
    first, *blocks = PUBLISHED[side, width]
    with torch.device("meta"):
        network = generator((3, side, side), width)
        images, seen = trace(network, torch.empty(2, LATENT))
    assert network.layers[0].out_features == first[1] * first[0] ** 2
    assert seen == blocks
    assert images.shape == (2, 3, side, side)


@pytest.mark.parametrize(("side", "width"), PUBLISHED_D)
def test_the_published_discriminators(side, width):
    with torch.device("meta"):
        network = discriminator((3, side, side), width)
        _, seen = trace(network, torch.empty(2, 3, side, side))
    assert seen == PUBLISHED_D[side, width]
    assert network.output.in_features == seen[-1][1]


def test_the_number_of_weights_of_the_published_pair_at_32():
    def three(inputs, outputs):
        return 9 * inputs * outputs + outputs

    def one(inputs, outputs):
        return inputs * outputs + outputs

    block = 2 * three(256, 256) + one(256, 256) + 2 * (2 * 256)
    inner = (128 + 1) * 256 * 4 * 4 + 3 * block + 2 * 256 + three(256, 3)
    first = three(3, 128) + three(128, 128) + one(3, 128)
    outer = first + (2 * three(128, 128) + one(128, 128)) + 2 * (2 * three(128, 128)) + one(128, 1)
    with torch.device("meta"):
        networks = [ResnetGenerator((3, 32, 32), 128, 256, None), discriminator((3, 32, 32), 128)]
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [inner, outer]
    assert (inner, outer) == (4_276_739, 1_053_825)


def randomised(block):
    """The block with all parameters, biases too, drawn anew, so that no term hides behind a zero."""
    torch.manual_seed(1)
    for parameter in block.parameters():
        nn.init.normal_(parameter, 0.0, 0.5)
    return block


def twice(values):
    return values.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_the_generators_block_is_the_published_one():
    block, x = randomised(up(2, 3, None)), torch.randn(N, 2, 4, 5)
    norm, _, _, first, second_norm, _, second = block.branch
    expected = first(twice(norm(x).relu()))
    expected = second(second_norm(expected).relu())
    expected = expected + F.conv2d(twice(x), block.shortcut[0].weight, block.shortcut[0].bias)
    torch.testing.assert_close(block(x), expected)


def test_the_discriminators_blocks_are_the_published_ones():
    x = torch.randn(N, 2, 4, 6)
    block = randomised(down(2, 3))
    first, second = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    shortcut = block.shortcut[1]
    assert (first.out_channels, second.out_channels) == (2, 3)
    torch.testing.assert_close(block(x), F.avg_pool2d(second(first(x.relu()).relu()) + shortcut(x), 2))
    block = randomised(optimised(2, 3))
    first, second = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    torch.testing.assert_close(
        block(x), F.avg_pool2d(second(first(x).relu()), 2) + block.shortcut[1](F.avg_pool2d(x, 2))
    )
    block = randomised(plain(2, 2))
    first, second = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    torch.testing.assert_close(block(x), second(first(x.relu()).relu()) + x)
    block = randomised(plain(2, 3))
    first, second = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
    torch.testing.assert_close(block(x), second(first(x.relu()).relu()) + block.shortcut(x))


def test_sum_pool():
    values = torch.arange(24.0).view(2, 3, 2, 2)
    assert SumPool()(values).tolist() == [[6, 22, 38], [54, 70, 86]]


def test_the_last_map_is_rectified_and_summed():
    network, images = discriminator((1, 8, 8)), torch.randn(N, 1, 8, 8)
    last = images
    for block in network.layers[:4]:
        last = block(last)
    torch.testing.assert_close(network.features(images), last.clamp(min=0).sum((2, 3)))


@pytest.mark.parametrize(("kernel", "gain"), [(3, 2**0.5), (1, 1.0)])
def test_initial_weights_are_xavier_uniform(kernel, gain):
    torch.manual_seed(0)
    layer = convolution(20, 60, kernel, gain)
    bound = gain * math.sqrt(6 / (kernel**2 * 80))
    assert layer.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert layer.weight.abs().max().item() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert not layer.bias.any()


def test_the_gain_is_one_in_shortcuts_and_at_the_ends():
    for network in (generator((3, 32, 32), 8), discriminator((3, 32, 32), 8)):
        for name, layer in network.named_modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            fans = layer.weight[0].numel() + layer.weight[:, 0].numel()
            gain = layer.weight.abs().max().item() / math.sqrt(6 / fans)
            allowed = math.sqrt(2) if "branch" in name else 1
            assert 0.7 * allowed < gain <= allowed + 1e-6, name
            assert gain > 1 or "branch" not in name, name


def test_no_batch_norm_in_the_discriminator():
    kinds = nn.BatchNorm2d | nn.BatchNorm1d
    assert not [layer for layer in discriminator((3, 32, 32)).modules() if isinstance(layer, kinds)]
    assert len([layer for layer in generator((3, 32, 32)).modules() if isinstance(layer, kinds)]) == 7


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("constraint", ["spectral_norm", "equalized", "minibatch_std"])
def test_every_parameter_receives_a_finite_gradient(shape, constraint):
    inner, outer = generator(shape, classes=3), discriminator(shape, **{constraint: True})
    images = inner(torch.randn(N, LATENT), torch.tensor([0, 1, 2, 1, 0]))
    (outer(images) * torch.randn(N)).sum().backward()
    for network in (inner, outer):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("shape", [(1, 8, 8), (6, 28, 28), (3, 48, 48)])
def test_double_backward_reaches_every_weight(shape, spectral_norm):
    network = discriminator(shape, spectral_norm=spectral_norm, minibatch_std=True)
    images = torch.randn(N, *shape, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
    slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim > 1]
    assert len(weights) >= 9
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_double_backward_through_the_generator():
    network, latent = generator((1, 8, 8)), torch.randn(N, LATENT, requires_grad=True)
    (slope,) = torch.autograd.grad(network(latent).square().sum(), latent, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters() if p.ndim > 1)


def test_labels_reach_every_conditional_norm():
    network, latent = generator((1, 28, 28), classes=3).eval(), torch.randn(N, LATENT)
    labels = torch.tensor([0, 1, 2, 1, 0])
    norms = [layer for layer in network.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    assert len(norms) == 5
    for norm in norms:
        before = network(latent, labels)
        with torch.no_grad():
            norm.gain.weight[1] += 1
        changed = (network(latent, labels) != before).flatten(1).any(1)
        assert changed.tolist() == [False, True, False, True, False]


def test_an_unconditional_generator_ignores_labels():
    network, latent = generator((1, 8, 8)).eval(), torch.randn(N, LATENT)
    assert torch.equal(network(latent, torch.zeros(N, dtype=torch.long)), network(latent))


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_a_deep_copy_is_equal_and_independent(spectral_norm):
    network, images = discriminator((1, 8, 8), spectral_norm=spectral_norm), torch.randn(N, 1, 8, 8)
    network(images)
    twin = copy.deepcopy(network)
    before = network.eval()(images)
    assert torch.equal(twin.eval()(images), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(3)
    assert torch.equal(network(images), before)


def test_every_side_of_the_message_is_served():
    for side in (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128):
        with torch.device("meta"):
            images = generator((2, side, side), 1)(torch.empty(4, LATENT))
            assert images.shape == (4, 2, side, side)
            assert discriminator((2, side, side), 1)(images).shape == (4,)


@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (1, 28, 32), (3, 30, 30)])
def test_refuses_a_shape_by_name_with_its_remedy(shape):
    for build, name in [(generator, "ResnetGenerator"), (discriminator, "ResnetDiscriminator")]:
        with pytest.raises(UserError) as caught:
            build(shape)
        assert caught.value.given == f"{name}: shape {shape}"
        assert f"use {name.removeprefix('Resnet').lower()}=mlp," in caught.value.remedy


def test_refuses_sizes_by_name():
    with pytest.raises(UserError, match="ResnetGenerator: latent_dim=0"):
        ResnetGenerator((1, 8, 8), 0, 4, None)
    with pytest.raises(UserError, match="ResnetGenerator: width=0"):
        generator((1, 8, 8), 0)
    with pytest.raises(UserError, match="classes=0"):
        generator((1, 8, 8), classes=0)
    with pytest.raises(UserError, match="ResnetDiscriminator: width=-1"):
        discriminator((1, 8, 8), -1)
    with pytest.raises(UserError, match="ResnetDiscriminator: spectral_norm=true and equalized=true"):
        discriminator((1, 8, 8), spectral_norm=True, equalized=True)


def encoder(shape, width=WIDTH, classes=None):
    torch.manual_seed(0)
    return ResnetEncoder(shape, width, classes)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_encoder_has_the_discriminators_maps_and_keeps_their_places(shape):
    images = torch.randn(N, *shape)
    features, seen = trace(encoder(shape), images)
    _, expected = trace(discriminator(shape), images)
    assert seen == expected
    side, channels = seen[-1]
    assert features.shape == (N, channels * side**2) == (N, encoder(shape).feature_dim)


def test_summed_over_the_map_the_encoders_features_are_the_discriminators():
    network, judge, images = encoder((3, 16, 16)), discriminator((3, 16, 16)), torch.randn(N, 3, 16, 16)
    network.layers.load_state_dict(judge.layers.state_dict())
    maps = network(images).unflatten(1, (WIDTH, 4, 4))
    torch.testing.assert_close(maps.sum((2, 3)), judge.features(images))


def test_the_encoder_of_the_published_blocks():
    """128 channels at 32 x 32 (Miyato et al. 2018, table 4), without the last linear map."""
    first = 9 * 3 * 128 + 9 * 128 * 128 + 3 * 128 + 3 * 128
    second = 2 * (9 * 128 * 128 + 128) + 128 * 128 + 128
    with torch.device("meta"):
        network = encoder((3, 32, 32), 128)
    kept = 2 * 2 * (9 * 128 * 128 + 128)
    assert sum(p.numel() for p in network.parameters()) == first + second + kept == 1_053_696
    assert network.feature_dim == 128 * 8 * 8


def test_the_encoder_is_told_the_class_as_maps():
    network, images, labels = encoder((1, 8, 8), classes=3), torch.randn(N, 1, 8, 8), torch.tensor([0, 2, 1, 0, 2])
    maps = F.one_hot(labels, 3)[:, :, None, None].expand(-1, -1, 8, 8)
    assert torch.equal(network(images, labels), network.layers(torch.cat([images, maps], 1)))


@pytest.mark.parametrize("shape", [(5,), (1, 28, 32), (3, 30, 30)])
def test_the_encoder_refuses_a_shape_with_its_own_remedy(shape):
    with pytest.raises(UserError) as caught:
        encoder(shape, classes=3)
    assert caught.value.given == f"ResnetEncoder: shape {shape}"
    assert "use encoder=mlp," in caught.value.remedy
