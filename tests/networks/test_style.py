import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from duogen.errors import UserError
from duogen.networks.style import EqualizedLinear, ModulatedConv2d, StyleDiscriminator, StyledLayer, StyleGenerator

N, LATENT, STYLE, WIDTH = 5, 6, 7, 3
# The sides and channels of the maps, from the constant outwards, for a width of 3.
PYRAMIDS = {
    (1, 8, 8): ([2, 4, 8], [12, 6, 3]),
    (1, 28, 28): ([7, 14, 28], [12, 6, 3]),
    (1, 32, 32): ([4, 8, 16, 32], [24, 12, 6, 3]),
    (3, 32, 32): ([4, 8, 16, 32], [24, 12, 6, 3]),
    (3, 64, 64): ([4, 8, 16, 32, 64], [24, 24, 12, 6, 3]),
}
CONSTRAINTS = [(False, False, False), (True, False, True), (False, True, True)]


def generator(shape=(1, 8, 8), noise=True, classes=None, depth=2):
    torch.manual_seed(0)
    return StyleGenerator(shape, LATENT, STYLE, depth, WIDTH, noise, classes)


def discriminator(shape=(1, 8, 8), spectral_norm=False, equalized=True, minibatch_std=True):
    torch.manual_seed(0)
    return StyleDiscriminator(shape, WIDTH, spectral_norm, equalized, minibatch_std)


def gradients(network):
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def assert_all_reached(network):
    for name, gradient in gradients(network).items():
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        assert gradient.any(), name


@pytest.mark.parametrize("shape", PYRAMIDS)
def test_generator_grows_the_constant_into_an_image(shape):
    network, seen = generator(shape), []
    for layer in network.modules():
        if isinstance(layer, StyledLayer):
            layer.register_forward_hook(lambda _, __, output: seen.append((output.shape[3], output.shape[1])))
    images = network(100 * torch.randn(N, LATENT))
    assert images.shape == (N, *shape)
    assert images.abs().max() <= 1
    levels = list(zip(*PYRAMIDS[shape], strict=True))
    assert seen == [levels[0]] + [level for level in levels[1:] for _ in range(2)]


@pytest.mark.parametrize("shape", [*PYRAMIDS, (6, 28, 28), (12, 32, 32)])
@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_discriminator_shapes(shape, settings):
    network = discriminator(shape, *settings)
    features = network.features(torch.randn(N, *shape))
    assert features.shape == (N, network.feature_dim)
    assert network.feature_dim == PYRAMIDS.get(shape, (0, [12 if shape[1] == 28 else 24]))[1][0]
    assert network(torch.randn(N, *shape)).shape == (N,)


@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_modulation_equals_weights_of_its_own_for_every_example(kernel, demodulate):
    torch.manual_seed(0)
    inputs, outputs, side = 4, 3, 5
    layer = ModulatedConv2d(inputs, outputs, kernel, STYLE, demodulate).double()
    values, styles = torch.randn(N, inputs, side, side).double(), torch.randn(N, STYLE).double()
    scales = styles @ layer.style.weight.T / STYLE**0.5 + layer.style.bias
    weights = scales[:, None, :, None, None] * layer.weight / (inputs * kernel**2) ** 0.5
    if demodulate:
        weights = weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    grouped = F.conv2d(values.flatten(0, 1)[None], weights.flatten(0, 1), padding=kernel // 2, groups=N)
    torch.testing.assert_close(layer(values, styles), grouped[0].unflatten(0, (N, outputs)))


def test_demodulated_maps_keep_unit_variance_whatever_the_style():
    torch.manual_seed(0)
    layer = ModulatedConv2d(16, 8, 3, STYLE, demodulate=True)
    values = layer(torch.randn(40, 16, 12, 12), 30 * torch.randn(40, STYLE))[:, :, 1:-1, 1:-1]
    assert values.std().item() == pytest.approx(1, abs=0.05)


def test_styles_start_as_no_change():
    layer = ModulatedConv2d(4, 3, 1, STYLE, demodulate=False)
    torch.testing.assert_close(layer.style(torch.zeros(N, STYLE)), torch.ones(N, 4))


def test_a_slow_layer_computes_the_same_and_learns_more_slowly():
    torch.manual_seed(0)
    slow, fast = EqualizedLinear(400, 300, 0.01, 0.5), EqualizedLinear(400, 300, 1.0, 0.5)
    fast.weight.data, values = slow.weight.data * 0.01, torch.randn(2, 400)
    torch.testing.assert_close(slow(values), fast(values))
    assert fast.weight.std().item() == pytest.approx(1, rel=0.02)
    slow(values).sum().backward()
    fast(values).sum().backward()
    torch.testing.assert_close(slow.weight.grad, 0.01 * fast.weight.grad)
    torch.testing.assert_close(slow.bias.grad, 0.01 * fast.bias.grad)


def test_mapping_equals_numpy():
    network = generator(depth=3, classes=4).eval()
    latent, labels = torch.randn(N, LATENT), torch.tensor([3, 0, 1, 1, 2])

    def normalised(values):
        return values / np.sqrt((values**2).mean(1, keepdims=True))

    values = np.concatenate(
        [normalised(latent.numpy()), normalised(network.classes.weight.detach().numpy()[labels.numpy()])], 1
    )
    for layer in network.mapping:
        weight = 0.01 * layer.weight.detach().numpy() / np.sqrt(values.shape[1])
        values = values @ weight.T + 0.01 * layer.bias.detach().numpy()
        values = np.sqrt(2) * np.where(values > 0, values, 0.2 * values)
    assert len(network.mapping) == 3
    np.testing.assert_allclose(network.styles(latent, labels).detach(), values, rtol=1e-4, atol=1e-6)


def test_styles_do_not_know_the_length_of_the_noise():
    network, latent = generator(), torch.randn(N, LATENT)
    torch.testing.assert_close(network.styles(latent), network.styles(7 * latent))


@pytest.mark.parametrize("classes", [None, 4])
def test_forward_is_render_after_styles(classes):
    network, latent = generator(classes=classes).eval(), torch.randn(N, LATENT)
    labels = None if classes is None else torch.arange(N) % classes
    torch.testing.assert_close(network(latent, labels), network.render(network.styles(latent, labels), labels))


def test_labels_change_the_image():
    network, latent = generator(classes=4).eval(), torch.randn(N, LATENT)
    ones, twos = network(latent, torch.full((N,), 1)), network(latent, torch.full((N,), 2))
    assert (ones - twos).abs().amax((1, 2, 3)).min() > 1e-4


def test_noise_is_fresh_in_training_and_fixed_in_evaluation():
    network, latent = generator(), torch.randn(N, LATENT)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, StyledLayer):
                assert layer.strength == 0
                layer.strength.fill_(1.0)
    assert not torch.equal(network(latent), network(latent))
    torch.manual_seed(1)
    first = network(latent)
    torch.manual_seed(1)
    assert torch.equal(network(latent), first)
    network.eval()
    images = network(latent)
    assert torch.equal(network(latent), images)
    torch.testing.assert_close(network(latent[2:]), images[2:])
    fields = [name for name in network.state_dict() if name.endswith("field")]
    assert len(fields) == 5


@pytest.mark.parametrize("grows", [False, True])
def test_a_layer_convolves_doubles_adds_noise_and_bias_and_activates(grows):
    torch.manual_seed(0)
    layer = StyledLayer(4, 3, 6, STYLE, noise=True, grows=grows).eval()
    with torch.no_grad():
        layer.strength.fill_(0.5)
        layer.bias.copy_(torch.randn(3, 1, 1))
    values, styles = torch.randn(N, 4, *[3 if grows else 6] * 2), torch.randn(N, STYLE)
    expected = layer.convolution(values, styles)
    if grows:
        expected = nn.Upsample(scale_factor=2, mode="bilinear")(expected)
    expected = expected + 0.5 * layer.field + layer.bias
    expected = torch.where(expected > 0, expected, 0.2 * expected) * 2**0.5
    torch.testing.assert_close(layer(values, styles), expected)


def test_without_noise_nothing_is_drawn():
    network, latent = generator(noise=False), torch.randn(N, LATENT)
    assert torch.equal(network(latent), network(latent))
    assert not [name for name in network.state_dict() if name.endswith(("field", "strength"))]


def test_the_mean_style_follows_training_alone():
    network, latent = generator(), torch.randn(2, N, LATENT)
    assert not network.mean_style.any()
    first, second = network.styles(latent[0]).mean(0), network.styles(latent[1]).mean(0)
    expected = 0.998 * (0.002 * first) + 0.002 * second
    torch.testing.assert_close(network.mean_style, expected.detach())
    assert not network.mean_style.requires_grad
    network.eval()(latent[0])
    torch.testing.assert_close(network.mean_style, expected.detach())
    styles = torch.randn(N, STYLE)
    torch.testing.assert_close(network.truncated(styles, 0.0), network.mean_style.expand(N, -1))
    torch.testing.assert_close(network.truncated(styles, 1.0), styles)
    torch.testing.assert_close(network.truncated(styles, 0.25), 0.75 * network.mean_style + 0.25 * styles)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_every_parameter_receives_a_finite_gradient(shape, settings):
    inner, outer = generator(shape, classes=N), discriminator(shape, *settings)
    (outer(inner(torch.randn(N, LATENT), torch.arange(N))) * torch.randn(N)).sum().backward()
    assert_all_reached(inner)
    assert_all_reached(outer)


@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_double_backward_through_the_discriminator(settings):
    network = discriminator((2, 12, 12), *settings)
    images = torch.randn(N, 2, 12, 12, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    slope.square().sum().backward()
    weights = [p for name, p in network.named_parameters() if "weight" in name]
    assert len(weights) == 10
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


@pytest.mark.parametrize("start", ["latent", "styles"])
def test_double_backward_through_the_generator(start):
    network, latent = generator((3, 8, 8)), torch.randn(N, LATENT, requires_grad=True)
    styles = network.styles(latent)
    images = network.render(styles)
    source = {"latent": latent, "styles": styles}[start]
    (slope,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), source, create_graph=True)
    slope.square().sum(1).sqrt().sum().backward()
    weights = {name: p.grad for name, p in network.named_parameters() if "weight" in name}
    assert all(grad is not None and grad.isfinite().all() and grad.any() for grad in weights.values())


def test_second_derivatives_are_right():
    network = generator((1, 8, 8)).double().eval()
    styles = torch.randn(1, STYLE, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda s: network.render(s)[:, :, ::3, ::3], styles)


def test_biases_of_the_discriminator_start_from_zero_and_equalised_weights_from_one():
    network = discriminator((1, 32, 32))
    pairs = dict(network.named_parameters())
    assert all(not p.any() for name, p in pairs.items() if name.endswith("bias"))
    drawn = torch.cat([p.flatten() for name, p in pairs.items() if name.endswith("original")])
    assert drawn.std().item() == pytest.approx(1, rel=0.02)


def test_halving_keeps_the_variance_of_its_branches():
    network = discriminator((1, 8, 8), equalized=False, minibatch_std=False)
    block, values = network.layers[1], torch.randn(N, WIDTH, 8, 8)
    hidden = np.sqrt(2) * F.leaky_relu(block.near(values), 0.2)
    branch = np.sqrt(2) * F.leaky_relu(block.far(hidden.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))), 0.2)
    shortcut = block.shortcut(values.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)))
    torch.testing.assert_close(block(values), (branch + shortcut) / np.sqrt(2))


def test_minibatch_std_couples_the_examples_of_a_group():
    images = torch.randn(4, 1, 8, 8)
    other = images.clone()
    other[1] += 1
    alone, told = discriminator(minibatch_std=False), discriminator(minibatch_std=True)
    torch.testing.assert_close(alone(images)[0], alone(other)[0])
    assert not torch.allclose(told(images)[0], told(other)[0])


@pytest.mark.parametrize("build", [generator, discriminator])
def test_a_deep_copy_is_equal_and_independent(build):
    network = build().eval()
    inputs = torch.randn(N, LATENT) if build is generator else torch.randn(N, 1, 8, 8)
    before, twin = network(inputs), copy.deepcopy(network)
    assert torch.equal(twin(inputs), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert torch.equal(network(inputs), before)


def test_the_default_generator_decides_the_weights():
    for build in (generator, discriminator):
        first, second = build().state_dict(), build().state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_builds_and_runs_on_the_meta_device():
    with torch.device("meta"):
        images = generator((3, 64, 64))(torch.empty(N, LATENT))
        assert discriminator((3, 64, 64))(images).shape == (N,)


@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (1, 28, 32), (3, 30, 30)])
def test_refuses_a_shape_by_name_with_its_remedy(shape):
    for build, name in [(generator, "generator"), (discriminator, "discriminator")]:
        with pytest.raises(UserError) as caught:
            build(shape)
        assert caught.value.given == f"Style{name.title()}: shape {shape}"
        assert f"use {name}=mlp," in caught.value.remedy


@pytest.mark.parametrize("name", ["latent_dim", "style_dim", "mapping_depth", "width", "classes"])
def test_refuses_sizes_by_name(name):
    sizes = {"latent_dim": 6, "style_dim": 7, "mapping_depth": 2, "width": 3, "classes": 2}
    with pytest.raises(UserError, match=f"StyleGenerator: {name}=0"):
        StyleGenerator((1, 8, 8), noise=True, **(sizes | {name: 0}))
    with pytest.raises(UserError, match="StyleDiscriminator: width=0"):
        StyleDiscriminator((1, 8, 8), 0, False, False, False)


def test_the_sum_of_pictures_is_bounded_by_tanh():
    network = generator((1, 8, 8), noise=False)
    styles, sums = torch.randn(N, STYLE), []
    for level in network.levels:
        level.register_forward_hook(lambda _, __, output: sums.append(output[1]))
    images, total = network.render(styles), None
    for picture in sums:
        total = picture if total is None else nn.Upsample(scale_factor=2, mode="bilinear")(total) + picture
    torch.testing.assert_close(images, total.tanh())
