import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from duogen.errors import UserError
from duogen.networks.transformer import (
    Attention,
    TransformerBlock,
    TransformerDiscriminator,
    TransformerGenerator,
    from_patches,
    to_patches,
)

N, LATENT, WIDTH, DEPTH, HEADS, PATCH = 5, 6, 12, 2, 3, 4
SHAPES = [(1, 28, 28), (1, 32, 32), (3, 32, 32), (3, 64, 64), (2, 8, 12)]
CONSTRAINTS = [(False, False, False), (True, False, True), (False, True, True)]


def generator(shape=(1, 8, 8), classes=None, heads=HEADS, patch=PATCH):
    torch.manual_seed(0)
    return TransformerGenerator(shape, LATENT, WIDTH, DEPTH, heads, patch, classes)


def discriminator(shape=(1, 8, 8), spectral_norm=False, equalized=False, minibatch_std=False, heads=HEADS, patch=PATCH):
    torch.manual_seed(0)
    return TransformerDiscriminator(shape, WIDTH, DEPTH, heads, patch, spectral_norm, equalized, minibatch_std)


def assert_all_reached(network):
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("shape", SHAPES)
def test_generator_shapes_and_range(shape):
    images = generator(shape)(1000 * torch.randn(N, LATENT))
    assert images.shape == (N, *shape)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("shape", [*SHAPES, (6, 28, 28), (12, 32, 32)])
@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_discriminator_shapes(shape, settings):
    network, images = discriminator(shape, *settings), torch.randn(N, *shape)
    assert network.features(images).shape == (N, network.feature_dim) == (N, WIDTH + settings[2])
    assert network(images).shape == (N,)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12), (2, 4, 4)])
def test_patches_are_cut_in_reading_order_and_put_back(shape):
    images = torch.randn(N, *shape)
    patches = to_patches(images, PATCH)
    rows, columns = shape[1] // PATCH, shape[2] // PATCH
    expected = [
        images[:, :, PATCH * row : PATCH * (row + 1), PATCH * column : PATCH * (column + 1)].flatten(1)
        for row in range(rows)
        for column in range(columns)
    ]
    assert torch.equal(patches, torch.stack(expected, 1))
    assert torch.equal(from_patches(patches, (rows, columns), PATCH), images)


def test_attention_equals_numpy():
    torch.manual_seed(0)
    layer, tokens = Attention(WIDTH, HEADS), torch.randn(N, 7, WIDTH)
    asked = tokens.numpy() @ layer.ask.weight.detach().numpy().T + layer.ask.bias.detach().numpy()
    queries, keys, values = (part.reshape(N, 7, HEADS, WIDTH // HEADS) for part in np.split(asked, 3, axis=2))
    scores = np.exp(np.einsum("nthe,nshe->nhts", queries, keys) / np.sqrt(WIDTH // HEADS))
    mixed = np.einsum("nhts,nshe->nthe", scores / scores.sum(-1, keepdims=True), values).reshape(N, 7, WIDTH)
    answer = mixed @ layer.answer.weight.detach().numpy().T + layer.answer.bias.detach().numpy()
    np.testing.assert_allclose(layer(tokens).detach(), answer, rtol=1e-4, atol=1e-6)


def test_a_block_adds_what_its_normalised_branches_say():
    torch.manual_seed(0)
    block, tokens = TransformerBlock(WIDTH, HEADS), torch.randn(N, 7, WIDTH)
    inner, outer = block.mlp[1], block.mlp[3]
    assert inner.weight.shape == (4 * WIDTH, WIDTH)
    middle = tokens + block.attention[1](F.layer_norm(tokens, (WIDTH,)))
    expected = middle + outer(F.gelu(inner(F.layer_norm(middle, (WIDTH,)))))
    torch.testing.assert_close(block(tokens), expected)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_every_parameter_receives_a_finite_gradient(shape, settings):
    inner, outer = generator(shape, classes=N), discriminator(shape, *settings)
    (outer(inner(torch.randn(N, LATENT), torch.arange(N))) * torch.randn(N)).sum().backward()
    assert_all_reached(inner)
    assert_all_reached(outer)


@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_double_backward_through_the_discriminator(settings):
    network, images = discriminator((2, 8, 12), *settings), torch.randn(N, 2, 8, 12, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):
        (slope,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
        slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim == 2]
    assert len(weights) == 3 + 4 * DEPTH
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_double_backward_through_the_generator():
    network, latent = generator(), torch.randn(N, LATENT, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):
        images = network.render(network.styles(latent))
        (slope,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), latent, create_graph=True)
        slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim == 2]
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_a_patch_s_position_matters():
    for network, inputs in [(generator(), torch.randn(N, LATENT)), (discriminator(), torch.randn(N, 1, 8, 8))]:
        before = network(inputs)
        with torch.no_grad():
            network.positions.copy_(network.positions.flip(0))
        assert not torch.allclose(network(inputs), before)
    network, images = discriminator(), torch.randn(N, 1, 8, 8)
    with torch.no_grad():
        network.positions.zero_()
    torch.testing.assert_close(network(images), network(images.roll(4, 3)))


def test_labels_change_the_image():
    network, latent = generator(classes=4), torch.randn(N, LATENT)
    assert not torch.allclose(network(latent, torch.full((N,), 1)), network(latent, torch.full((N,), 2)))


def test_one_image_does_not_depend_on_the_others():
    network, latent = generator().eval(), torch.randn(N, LATENT)
    torch.testing.assert_close(network(latent[2:]), network(latent)[2:])


@pytest.mark.parametrize("build", [generator, discriminator])
def test_a_deep_copy_is_equal_and_independent(build):
    network, inputs = build(), torch.randn(N, LATENT) if build is generator else torch.randn(N, 1, 8, 8)
    before, twin = network(inputs), copy.deepcopy(network)
    assert torch.equal(twin(inputs), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(3)
    assert torch.equal(network(inputs), before)


def test_the_default_generator_decides_the_weights():
    for build in (generator, discriminator):
        first, second = build().state_dict(), build().state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_builds_and_runs_on_the_meta_device():
    with torch.device("meta"):
        images = generator((3, 64, 64))(torch.empty(N, LATENT))
        assert discriminator((3, 64, 64))(images).shape == (N,)


BUILDS = pytest.mark.parametrize(
    ("build", "name"), [(generator, "TransformerGenerator"), (discriminator, "TransformerDiscriminator")]
)


@BUILDS
@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (1, 0, 8)])
def test_refuses_a_shape_by_name_with_its_remedy(build, name, shape):
    with pytest.raises(UserError) as caught:
        build(shape)
    assert caught.value.given == f"{name}: shape {shape}"
    assert f"use {build.__name__}=mlp," in caught.value.remedy


@BUILDS
def test_a_patch_that_does_not_divide_is_answered_with_the_nearest_that_does(build, name):
    for patch in (8, 0, -4):
        with pytest.raises(UserError, match=f"{name}: patch={patch} with images of 28x28"):
            build((1, 28, 28), patch=patch)
    with pytest.raises(UserError) as caught:
        build((1, 28, 42), patch=9)
    assert caught.value.allowed == "divisors: 7, 14, 2, 1"
    assert caught.value.remedy == "e.g. patch=7"


@BUILDS
def test_heads_that_do_not_divide_the_width_are_answered_with_the_nearest_that_do(build, name):
    with pytest.raises(UserError, match=f"{name}: heads=5 with width=12") as caught:
        build(heads=5)
    assert caught.value.allowed == "divisors: 4, 6, 3, 2, 1, 12"


@pytest.mark.parametrize("name", ["latent_dim", "width", "depth", "classes"])
def test_refuses_sizes_by_name(name):
    sizes = {"latent_dim": 6, "width": 12, "depth": 2, "classes": 2}
    with pytest.raises(UserError, match=f"TransformerGenerator: {name}=0"):
        TransformerGenerator((1, 8, 8), heads=3, patch=4, **(sizes | {name: 0}))
