import copy

import numpy as np
import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.images import DcganDiscriminator, DcganGenerator
from duogen.networks.normalization import ConditionalBatchNorm2d

N, LATENT, WIDTH = 5, 6, 4
NORMS = [(False, False), (True, False), (False, True), (True, True)]
# The sides and channels from the image inwards, for a width of 4.
PYRAMIDS = {
    (1, 8, 8): ([8, 4, 2], [4, 8]),
    (2, 12, 12): ([12, 6, 3], [4, 8]),
    (1, 28, 28): ([28, 14, 7], [4, 8]),
    (3, 32, 32): ([32, 16, 8, 4], [4, 8, 16]),
    (3, 64, 64): ([64, 32, 16, 8, 4], [4, 8, 16, 32]),
}


def generator(shape, width=WIDTH, classes=None):
    torch.manual_seed(0)
    return DcganGenerator(shape, LATENT, width, classes)


def discriminator(shape, batch_norm=True, spectral_norm=False, width=WIDTH, equalized=False, minibatch_std=False):
    torch.manual_seed(0)
    return DcganDiscriminator(shape, width, batch_norm, 0.0, spectral_norm, equalized, minibatch_std)


def trace(network, values):
    """The (channels, side) of every convolution's output, in order."""
    seen = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, __, output: seen.append((output.shape[1], output.shape[3])))
    return network(values), seen


@pytest.mark.parametrize("shape", PYRAMIDS)
def test_generator_shapes_and_range(shape):
    sides, channels = PYRAMIDS[shape]
    images, seen = trace(generator(shape), 100 * torch.randn(N, LATENT))
    assert images.shape == (N, *shape)
    assert images.abs().max() <= 1
    assert seen == list(zip([*channels[::-1], shape[0]], sides[::-1], strict=True))


@pytest.mark.parametrize("shape", PYRAMIDS)
@pytest.mark.parametrize("norms", NORMS)
def test_discriminator_shapes(shape, norms):
    sides, channels = PYRAMIDS[shape]
    logits, seen = trace(discriminator(shape, *norms), torch.randn(N, *shape))
    assert logits.shape == (N,)
    assert seen == list(zip(channels, sides[1:], strict=True))


def test_batch_norm_spares_the_image_side():
    def widths(network):
        return [layer.num_features for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]

    assert widths(generator((3, 64, 64))) == [32, 16, 8, 4]
    assert widths(discriminator((3, 64, 64), batch_norm=True)) == [8, 16, 32]
    assert widths(discriminator((3, 64, 64), batch_norm=False)) == []


def test_no_bias_that_batch_norm_would_cancel():
    def biased(network):
        convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        return [layer.bias is not None for layer in convolutions]

    assert biased(generator((3, 32, 32))) == [False, False, False, True]
    assert biased(discriminator((3, 32, 32), batch_norm=True)) == [True, False, False]
    assert biased(discriminator((3, 32, 32), batch_norm=False)) == [True] * 3


def test_activations():
    def kinds(network):
        return [layer for layer in network.modules() if isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.Tanh)]

    assert [type(layer) for layer in kinds(generator((3, 32, 32)))] == [nn.ReLU] * 3 + [nn.Tanh]
    assert [getattr(layer, "negative_slope", None) for layer in kinds(discriminator((3, 32, 32)))] == [0.2] * 3


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_initialisation(spectral_norm):
    for network in (generator((3, 32, 32), 32), discriminator((3, 32, 32), True, spectral_norm, 32)):
        kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
        convolutions = [layer for layer in network.modules() if isinstance(layer, kinds)]
        originals = [p for layer in convolutions for p in layer.parameters() if p.ndim > 1]
        assert len(originals) == len(convolutions) >= 4
        for weight in originals:
            assert weight.std().item() == pytest.approx(0.02, rel=0.12)
            assert abs(weight.mean().item()) < 0.002
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        gains = torch.cat([layer.weight for layer in norms])
        assert gains.mean().item() == pytest.approx(1, abs=0.005)
        assert gains.std().item() == pytest.approx(0.02, rel=0.2)
        assert not any(layer.bias.any() for layer in [*norms, *convolutions] if layer.bias is not None)


@pytest.mark.parametrize("shape", PYRAMIDS)
@pytest.mark.parametrize("norms", NORMS)
def test_every_parameter_receives_a_finite_gradient(shape, norms):
    inner, outer = generator(shape), discriminator(shape, *norms)
    # A plain sum of logits would cancel in batch norm and leave no gradient to look at.
    (outer(inner(torch.randn(N, LATENT))) * torch.randn(N)).exp().sum().backward()
    for network in (inner, outer):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28)])
@pytest.mark.parametrize("norms", NORMS)
def test_double_backward_reaches_every_weight(shape, norms):
    network = discriminator(shape, *norms)
    images = torch.randn(N, *shape, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim > 1]
    assert len(weights) == 3
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_double_backward_through_the_generator():
    network, latent = generator((1, 8, 8)), torch.randn(N, LATENT, requires_grad=True)
    (slope,) = torch.autograd.grad(network(latent).square().sum(), latent, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters() if p.ndim == 4)


def test_spectral_norm_brings_the_largest_singular_value_to_one():
    network, images = discriminator((1, 8, 8), False, True), torch.randn(N, 1, 8, 8)
    for _ in range(100):
        network(images)
    layers = [layer for layer in network.eval().modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    largest = [np.linalg.svd(layer.weight.detach().flatten(1).numpy(), compute_uv=False)[0] for layer in layers]
    np.testing.assert_allclose(largest, [1.0] * 3, rtol=1e-3)


@pytest.mark.parametrize("norms", NORMS)
def test_a_deep_copy_is_equal_and_independent(norms):
    network, images = discriminator((1, 8, 8), *norms), torch.randn(N, 1, 8, 8)
    network(images)
    twin = copy.deepcopy(network)
    assert torch.equal(twin(images), network(images))
    before = network.eval()(images)
    twin(7 * images)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(3)
    assert torch.equal(network(images), before)


def test_the_default_generator_decides_the_weights():
    for build in (generator, lambda shape: discriminator(shape, True, True)):
        first, second = build((1, 8, 8)).state_dict(), build((1, 8, 8)).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_builds_on_the_meta_device():
    with torch.device("meta"):
        networks = [generator((3, 64, 64), 64), generator((3, 64, 64), 64, 10), discriminator((3, 64, 64), True, True)]
    assert all(tensor.is_meta for network in networks for tensor in network.state_dict().values())


@pytest.mark.parametrize(
    "shape", [(), (5,), (28, 28), (1, 28, 32), (1, 4, 4), (1, 7, 7), (3, 30, 30), (3, 36, 36), (0, 8, 8), (1, 1, 8, 8)]
)
def test_refuses_a_shape_by_name_with_its_remedy(shape):
    for build, name, remedy in [
        (generator, "DcganGenerator", "generator=mlp"),
        (discriminator, "DcganDiscriminator", "discriminator=mlp"),
    ]:
        with pytest.raises(UserError) as caught:
            build(shape)
        assert caught.value.given == f"{name}: shape {shape}"
        assert "(C, H, H)" in caught.value.allowed
        assert f"use {remedy}," in caught.value.remedy


def test_every_named_side_is_served():
    for side in (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128):
        with torch.device("meta"):
            images = DcganGenerator((2, side, side), 3, 1, None)(torch.empty(4, 3))
            assert images.shape == (4, 2, side, side)
            assert discriminator((2, side, side), False, width=1)(images).shape == (4,)


def test_refuses_sizes_by_name():
    with pytest.raises(UserError, match="DcganGenerator: latent_dim=0"):
        DcganGenerator((1, 8, 8), 0, 4, None)
    with pytest.raises(UserError, match="DcganGenerator: width=0"):
        DcganGenerator((1, 8, 8), 6, 0, None)
    with pytest.raises(UserError, match="DcganDiscriminator: width=-1"):
        discriminator((1, 8, 8), width=-1)
    with pytest.raises(UserError, match="ConditionalBatchNorm2d: classes=0"):
        generator((1, 8, 8), classes=0)


def test_dropout_follows_every_activation():
    network = DcganDiscriminator((1, 28, 28), 4, False, 0.25, False, False, False)
    assert [layer.p for layer in network.modules() if isinstance(layer, torch.nn.Dropout)] == [0.25, 0.25]


def test_the_published_pair_at_64_with_100_numbers_and_width_128():
    # 4x4 kernels: 100 x 1024, 1024 x 512, 512 x 256, 256 x 128 and 128 x 3 channels, 16 weights each; 4x4 first map.
    kernels = 16 * (100 * 1024 + 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    norms = 2 * (1024 + 512 + 256 + 128)
    with torch.device("meta"):
        network = DcganGenerator((3, 64, 64), 100, 128, None)
    assert sum(p.numel() for p in network.parameters()) == kernels + norms + 3


@pytest.mark.parametrize(("shape", "last"), [((1, 28, 28), 8 * 7 * 7), ((6, 32, 32), 16 * 4 * 4)])
def test_the_logit_is_read_off_the_features_of_packed_images(shape, last):
    network, images = discriminator(shape, False), torch.randn(N, *shape)
    features = network.features(images)
    assert features.shape == (N, network.feature_dim) == (N, last)
    assert torch.equal(network(images), network.output(features)[:, 0])


def test_minibatch_std_is_one_more_map():
    network, images = discriminator((1, 8, 8), False, minibatch_std=True), torch.randn(4, 1, 8, 8)
    features = network.features(images).unflatten(1, (-1, 2, 2))
    assert features.shape == (4, 9, 2, 2)
    spread = np.sqrt(features[:, :8].detach().numpy().var(0) + 1e-8).mean()
    np.testing.assert_allclose(features[:, 8].detach(), np.full((4, 2, 2), spread), rtol=1e-5)


def test_equalized_weights_are_drawn_from_a_unit_normal():
    network = discriminator((3, 32, 32), False, equalized=True, width=16)
    originals = torch.cat([p.flatten() for p in network.parameters() if p.ndim > 1])
    assert originals.std().item() == pytest.approx(1, rel=0.03)


def test_labels_reach_every_conditional_norm():
    network, latent = generator((1, 28, 28), classes=3), torch.randn(N, LATENT)
    labels = torch.tensor([2, 0, 1, 2, 0])
    norms = [layer for layer in network.modules() if isinstance(layer, ConditionalBatchNorm2d)]
    assert len(norms) == 2
    before = network(latent, labels)
    for norm in norms:
        with torch.no_grad():
            norm.gain.weight[1] += 1
        after = network(latent, labels)
        assert [not torch.equal(a, b) for a, b in zip(before, after, strict=True)][2]
        before = after
    network(latent, labels).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in network.parameters())


def test_an_unconditional_generator_ignores_labels():
    network, latent = generator((1, 8, 8)).eval(), torch.randn(N, LATENT)
    assert torch.equal(network(latent, torch.zeros(N, dtype=torch.long)), network(latent))


def test_a_conditional_generator_wants_labels():
    with pytest.raises(UserError, match="3 classes"):
        generator((1, 8, 8), classes=3)(torch.randn(N, LATENT))
