import copy

import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.recurrent import GatedRecurrence, RecurrentDiscriminator, RecurrentGenerator

N, LATENT, WIDTH, DEPTH = 5, 6, 7, 2
SHAPES = [(1, 28, 28), (1, 32, 32), (3, 32, 32), (3, 64, 64), (2, 8, 9)]
CONSTRAINTS = [(False, False, False), (True, False, True), (False, True, True)]


def generator(shape=(2, 8, 9), classes=None, depth=DEPTH):
    torch.manual_seed(0)
    return RecurrentGenerator(shape, LATENT, WIDTH, depth, classes)


def discriminator(shape=(2, 8, 9), spectral_norm=False, equalized=False, minibatch_std=False, depth=DEPTH):
    torch.manual_seed(0)
    return RecurrentDiscriminator(shape, WIDTH, depth, spectral_norm, equalized, minibatch_std)


def torch_s(layer):
    """The same recurrence as torch computes it."""
    twin = nn.GRU(layer.arriving.in_features, layer.states, batch_first=True)
    twin.load_state_dict(
        {
            "weight_ih_l0": layer.arriving.weight,
            "bias_ih_l0": layer.arriving.bias,
            "weight_hh_l0": layer.recurring.weight,
            "bias_hh_l0": layer.recurring.bias,
        }
    )
    return twin


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


def test_the_recurrence_equals_torch_s():
    torch.manual_seed(0)
    layer, sequence = GatedRecurrence(4, 3), torch.randn(N, 6, 4)
    torch.testing.assert_close(layer(sequence), torch_s(layer)(sequence)[0])


@pytest.mark.parametrize("classes", [None, 4])
def test_rows_are_painted_one_after_another(classes):
    network, latent = generator(classes=classes), torch.randn(N, LATENT)
    labels = None if classes is None else torch.tensor([3, 0, 1, 1, 2])
    told = latent if classes is None else torch.cat([latent, network.classes.weight[labels]], 1)
    layers, states = [torch_s(layer) for layer in network.recurrences], [None] * DEPTH
    images = network(latent, labels)
    for row in range(8):
        seen = torch.cat([told, network.rows[row].expand(N, -1)], 1)[:, None]
        for index, layer in enumerate(layers):
            seen, states[index] = layer(seen, states[index])
        painted = (seen[:, 0] @ network.paint.weight.T + network.paint.bias).tanh()
        torch.testing.assert_close(images[:, :, row], painted.view(N, 2, 9))


def test_rows_are_read_from_the_top_and_their_states_averaged():
    network, images = discriminator(), torch.randn(N, 2, 8, 9)
    seen = torch.stack([images[:, :, row].flatten(1) for row in range(8)], 1)
    for layer in network.recurrences:
        seen, _ = torch_s(layer)(seen)
    torch.testing.assert_close(network.features(images), seen.mean(1))


def test_spectral_norm_iterates_once_per_forward_and_brings_the_recurring_matrix_to_one():
    network, images = discriminator(spectral_norm=True, depth=1), torch.randn(N, 2, 8, 9)
    recurring = network.recurrences[0].recurring
    seen = []
    recurring.parametrizations.weight[0].register_forward_hook(lambda *_: seen.append(1))
    network(images)
    assert len(seen) == 1
    for _ in range(60):
        network(images)
    weight = network.eval().recurrences[0].recurring.weight.detach()
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_every_parameter_receives_a_finite_gradient(shape, settings):
    inner, outer = generator(shape, classes=N), discriminator(shape, *settings)
    (outer(inner(torch.randn(N, LATENT), torch.arange(N))) * torch.randn(N)).sum().backward()
    assert_all_reached(inner)
    assert_all_reached(outer)


@pytest.mark.parametrize("settings", CONSTRAINTS)
def test_double_backward_through_the_discriminator(settings):
    network, images = discriminator((2, 8, 9), *settings), torch.randn(N, 2, 8, 9, requires_grad=True)
    (slope,) = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)
    slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim == 2]
    assert len(weights) == 1 + 2 * DEPTH
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_double_backward_through_the_generator():
    network, latent = generator(), torch.randn(N, LATENT, requires_grad=True)
    images = network.render(network.styles(latent))
    (slope,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), latent, create_graph=True)
    slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim == 2]
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_second_derivatives_are_right():
    torch.manual_seed(0)
    layer = GatedRecurrence(2, 3).double()
    assert torch.autograd.gradgradcheck(layer, torch.randn(1, 3, 2, dtype=torch.float64, requires_grad=True))


def test_works_in_half_the_precision():
    images = torch.randn(N, 2, 8, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = discriminator()(images)
    torch.testing.assert_close(logits.float(), discriminator()(images), atol=0.02, rtol=0.05)


def test_labels_change_the_image():
    network, latent = generator(classes=4), torch.randn(N, LATENT)
    assert not torch.allclose(network(latent, torch.full((N,), 1)), network(latent, torch.full((N,), 2)))


def test_one_image_does_not_depend_on_the_others():
    network, latent = generator().eval(), torch.randn(N, LATENT)
    torch.testing.assert_close(network(latent[2:]), network(latent)[2:])


@pytest.mark.parametrize("build", [generator, discriminator])
def test_a_deep_copy_is_equal_and_independent(build):
    network, inputs = build(), torch.randn(N, LATENT) if build is generator else torch.randn(N, 2, 8, 9)
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


@pytest.mark.parametrize("shape", [(), (5,), (28, 28), (1, 0, 8)])
@pytest.mark.parametrize(
    ("build", "name"), [(generator, "RecurrentGenerator"), (discriminator, "RecurrentDiscriminator")]
)
def test_refuses_a_shape_by_name_with_its_remedy(build, name, shape):
    with pytest.raises(UserError) as caught:
        build(shape)
    assert caught.value.given == f"{name}: shape {shape}"
    assert f"use {build.__name__}=mlp," in caught.value.remedy


@pytest.mark.parametrize("name", ["latent_dim", "width", "depth", "classes"])
def test_refuses_sizes_by_name(name):
    sizes = {"latent_dim": 6, "width": 7, "depth": 2, "classes": 2}
    with pytest.raises(UserError, match=f"RecurrentGenerator: {name}=0"):
        RecurrentGenerator((1, 8, 8), **(sizes | {name: 0}))
