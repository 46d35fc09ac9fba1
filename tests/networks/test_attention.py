import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.attention import AttentionDiscriminator, AttentionGenerator, SelfAttention
from duogen.networks.resnet import ResnetDiscriminator, ResnetGenerator

N, LATENT, WIDTH = 5, 6, 8
SHAPES = [(1, 28, 28), (1, 32, 32), (6, 32, 32), (3, 64, 64)]
LABELS = torch.tensor([0, 1, 2, 1, 0])


def generator(shape, attention_side=None, spectral_norm=False, classes=None, width=WIDTH):
    torch.manual_seed(0)
    return AttentionGenerator(shape, LATENT, width, attention_side, spectral_norm, classes)


def discriminator(shape, attention_side=None, spectral_norm=False, equalized=False, minibatch_std=False, width=WIDTH):
    torch.manual_seed(0)
    return AttentionDiscriminator(shape, width, attention_side, spectral_norm, equalized, minibatch_std)


def attending(network):
    (layer,) = [layer for layer in network.modules() if isinstance(layer, SelfAttention)]
    return layer


def awake(network):
    """The network with gamma away from 0, where attention would receive no gradient."""
    nn.init.constant_(attending(network).gamma, 0.7)
    return network


def by_loops(layer, x):
    """Equations 1 to 3 for one map (C, H, W), position by position, keys and values max-pooled by 2."""
    convolutions = (layer.keys, layer.queries, layer.values, layer.mix)
    f, g, h, v = (convolution.weight.detach().numpy()[:, :, 0, 0] for convolution in convolutions)
    _, height, width = x.shape
    cells = [(slice(a, a + 2), slice(b, b + 2)) for a in range(0, height - 1, 2) for b in range(0, width - 1, 2)]

    def pooled(weight):
        return [np.einsum("dc,cab->dab", weight, x[:, a, b]).max((1, 2)) for a, b in cells]

    keys, values, y = pooled(f), pooled(h), np.empty_like(x)
    for a in range(height):
        for b in range(width):
            shares = np.exp([key @ (g @ x[:, a, b]) for key in keys])
            shares /= shares.sum()
            attended = v @ sum(share * value for share, value in zip(shares, values, strict=True))
            y[:, a, b] = layer.gamma.item() * attended + x[:, a, b]
    return y


@pytest.mark.parametrize("size", [(4, 6), (7, 5)])
def test_equals_loops(size):
    torch.manual_seed(0)
    layer, maps = SelfAttention(16), torch.randn(3, 16, *size)
    nn.init.constant_(layer.gamma, 0.7)
    expected = np.stack([by_loops(layer, x) for x in maps.numpy()])
    np.testing.assert_allclose(layer(maps).detach(), expected, rtol=1e-4, atol=1e-5)


def test_starts_as_the_identity():
    layer, maps = SelfAttention(16), torch.randn(3, 16, 4, 4)
    assert torch.equal(layer(maps), maps)


@pytest.mark.parametrize(("channels", "narrow", "half"), [(64, 8, 32), (20, 2, 10), (1, 1, 1)])
def test_channels(channels, narrow, half):
    layer = SelfAttention(channels)
    shapes = [tuple(p.shape[:2]) for p in (layer.keys.weight, layer.queries.weight, layer.values.weight)]
    assert shapes == [(narrow, channels), (narrow, channels), (half, channels)]
    assert layer.mix.weight.shape[:2] == (channels, half)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_shapes_and_range(shape, spectral_norm):
    images = awake(generator(shape, None, spectral_norm, 3))(100 * torch.randn(N, LATENT), LABELS)
    assert images.shape == (N, *shape)
    assert images.abs().max() <= 1
    network = awake(discriminator(shape, None, spectral_norm, minibatch_std=True)).eval()
    features = network.features(images)
    assert features.shape == (N, network.feature_dim)
    assert torch.equal(network(images), network.output(features)[:, 0])


def attended_side(network, inputs):
    sides = []
    attending(network).register_forward_hook(lambda _, __, output: sides.append(output.shape[3]))
    network(inputs)
    return sides


@pytest.mark.parametrize(
    ("side", "asked", "inner", "outer"),
    [
        (8, None, 4, 4),
        (28, None, 14, 14),
        (32, None, 16, 16),
        (48, None, 24, 24),
        (64, None, 32, 32),
        (128, None, 32, 32),
        (32, 8, 8, 8),
        (28, 7, 7, 7),
        (64, 4, 4, 4),
    ],
)
def test_the_map_that_attends(side, asked, inner, outer):
    with torch.device("meta"):
        assert attended_side(generator((1, side, side), asked, width=1), torch.empty(2, LATENT)) == [inner]
        assert attended_side(discriminator((1, side, side), asked, width=1), torch.empty(2, 1, side, side)) == [outer]


def test_the_last_map_of_the_generator_may_attend():
    with torch.device("meta"):
        assert attended_side(generator((1, 32, 32), 32, width=1), torch.empty(2, LATENT)) == [32]


@pytest.mark.parametrize(
    ("build", "side", "asked", "listed"),
    [
        (generator, 32, 12, "8, 16, 4, 32, or null"),
        (generator, 28, 16, "14, 7, 28, or null"),
        (generator, 8, 2, "4, 8, or null"),
        (discriminator, 32, 32, "16, 8, or null"),
        (discriminator, 48, 3, "6, 12, 24, or null"),
    ],
)
def test_refuses_a_side_that_no_map_has(build, side, asked, listed):
    with pytest.raises(UserError, match=f"attention_side={asked}") as caught:
        build((1, side, side), asked)
    assert caught.value.allowed.endswith(listed)
    assert caught.value.remedy == f"set attention_side={listed.split(',')[0]}"


def test_while_gamma_is_zero_it_is_the_residual_network():
    latent, images = torch.randn(N, LATENT), torch.randn(N, 1, 8, 8)
    inner, outer = generator((1, 8, 8)), discriminator((1, 8, 8))
    others = [
        ResnetGenerator((1, 8, 8), LATENT, WIDTH, None),
        ResnetDiscriminator((1, 8, 8), WIDTH, False, False, False),
    ]
    for mine, other, inputs in [(inner, others[0], latent), (outer, others[1], images)]:
        apart = {id(p) for p in attending(mine).parameters()}
        shared = [p for p in mine.parameters() if id(p) not in apart]
        for target, source in zip(other.parameters(), shared, strict=True):
            target.data.copy_(source)
        torch.testing.assert_close(mine(inputs), other(inputs))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("constraint", ["spectral_norm", "equalized"])
def test_every_parameter_receives_a_finite_gradient(shape, constraint):
    inner = awake(generator(shape, None, constraint == "spectral_norm", 3))
    outer = awake(discriminator(shape, **{constraint: True}))
    (outer(inner(torch.randn(N, LATENT), LABELS)) * torch.randn(N)).sum().backward()
    for network in (inner, outer):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_at_the_start_gamma_learns_and_the_rest_of_attention_waits():
    network = discriminator((1, 8, 8))
    (network(torch.randn(N, 1, 8, 8)) * torch.randn(N)).sum().backward()
    gradients = {name: p.grad for name, p in attending(network).named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient.any()] == ["gamma"]


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("shape", [(1, 8, 8), (6, 28, 28)])
def test_double_backward_reaches_every_weight(shape, spectral_norm):
    network = awake(discriminator(shape, spectral_norm=spectral_norm))
    images = torch.randn(N, *shape, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
    slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim > 1]
    assert len(weights) >= 13
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_spectral_norm_constrains_all_of_both_networks():
    for network in (generator((1, 8, 8), spectral_norm=True, classes=3), discriminator((1, 8, 8), spectral_norm=True)):
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        assert len(layers) >= 12
        assert all(hasattr(layer, "parametrizations") for layer in layers)


def test_refuses_shapes_and_sizes_by_name():
    with pytest.raises(UserError, match=r"AttentionGenerator: shape \(5,\)"):
        generator((5,))
    with pytest.raises(UserError, match=r"AttentionDiscriminator: shape \(3, 30, 30\)"):
        discriminator((3, 30, 30))
    with pytest.raises(UserError, match="AttentionGenerator: width=0"):
        generator((1, 8, 8), width=0)
    with pytest.raises(UserError, match="AttentionDiscriminator: width=0"):
        discriminator((1, 8, 8), width=0)
    with pytest.raises(UserError, match="AttentionGenerator: latent_dim=0"):
        AttentionGenerator((1, 8, 8), 0, WIDTH, None, False, None)
