import copy

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.networks.dense import (
    Maxout,
    MaxoutDiscriminator,
    MlpDecoder,
    MlpDiscriminator,
    MlpEncoder,
    MlpGenerator,
    class_inputs,
    told,
)

SHAPES = [(5,), (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 6, 9)]
N, LATENT, WIDTH, DEPTH = 4, 6, 7, 2


def generator(shape, depth=DEPTH, batch_norm=False, initial_std=None, classes=None, width=WIDTH):
    torch.manual_seed(0)
    return MlpGenerator(shape, LATENT, width, depth, batch_norm, initial_std, classes)


def discriminator(shape, spectral_norm=False, depth=DEPTH, dropout=0.0, equalized=False, minibatch_std=False):
    torch.manual_seed(0)
    return MlpDiscriminator(shape, WIDTH, depth, dropout, spectral_norm, equalized, minibatch_std)


def maxout(shape, depth=DEPTH, pieces=3, initial_std=None, minibatch_std=False):
    torch.manual_seed(0)
    return MaxoutDiscriminator(shape, WIDTH, depth, pieces, initial_std, False, False, minibatch_std)


def encoder(shape, depth=DEPTH, classes=None, width=WIDTH):
    torch.manual_seed(0)
    return MlpEncoder(shape, width, depth, torch.nn.Tanh(), classes)


def decoder(shape, depth=DEPTH, classes=None, width=WIDTH, latent_dim=LATENT):
    torch.manual_seed(0)
    return MlpDecoder(shape, latent_dim, width, depth, torch.nn.Tanh(), classes)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_range(shape):
    examples = generator(shape)(1000 * torch.randn(N, LATENT))
    assert examples.shape == (N, *shape)
    if len(shape) == 3:
        assert examples.abs().max() <= 1
    else:
        assert examples.abs().max() > 1
    assert discriminator(shape)(examples).shape == (N,)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_depth_counts_hidden_layers(depth):
    for network, ends in [(generator((5,), depth), (LATENT, 5)), (discriminator((5,), depth=depth), (5, 1))]:
        sizes = [ends[0], *[WIDTH] * depth, ends[1]]
        weights = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
        assert weights == list(zip(sizes[1:], sizes[:-1], strict=True))


def test_forward_equals_numpy():
    inner, outer = generator((3,), 1), discriminator((3,), depth=1)
    latent = torch.randn(N, LATENT)
    a, b, c, d = (p.detach().numpy() for p in inner.parameters())
    examples = np.maximum(latent.numpy() @ a.T + b, 0) @ c.T + d
    np.testing.assert_allclose(inner(latent).detach(), examples, rtol=1e-5, atol=1e-6)
    a, b, c, d = (p.detach().numpy() for p in outer.parameters())
    hidden = examples @ a.T + b
    logits = np.where(hidden > 0, hidden, 0.2 * hidden) @ c.T + d
    np.testing.assert_allclose(outer(torch.as_tensor(examples)).detach(), logits[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_every_parameter_receives_a_finite_gradient(shape, spectral_norm):
    inner, outer = generator(shape), discriminator(shape, spectral_norm)
    outer(inner(torch.randn(N, LATENT))).square().sum().backward()
    for network in (inner, outer):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("shape", [(5,), (1, 8, 8)])
def test_double_backward_reaches_every_weight(shape, spectral_norm):
    network = discriminator(shape, spectral_norm)
    examples = torch.randn(N, *shape, requires_grad=True)
    (slope,) = torch.autograd.grad(network(examples).sum(), examples, create_graph=True)
    slope.square().sum().backward()
    weights = [p for p in network.parameters() if p.ndim == 2]
    assert len(weights) == DEPTH + 1
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in weights)


def test_spectral_norm_brings_the_largest_singular_value_to_one():
    network, examples = discriminator((5,), spectral_norm=True), torch.randn(N, 5)
    for _ in range(50):
        network(examples)
    layers = [layer for layer in network.eval().modules() if isinstance(layer, torch.nn.Linear)]
    largest = [np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)[0] for layer in layers]
    np.testing.assert_allclose(largest, [1.0] * (DEPTH + 1), rtol=1e-4)


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_a_deep_copy_is_equal_and_independent(spectral_norm):
    network, examples = discriminator((1, 8, 8), spectral_norm), torch.randn(N, 1, 8, 8)
    network(examples)
    twin = copy.deepcopy(network)
    assert torch.equal(twin(examples), network(examples))
    before = network.eval()(examples)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(3)
    assert torch.equal(network(examples), before)


def test_the_default_generator_decides_the_weights():
    for build in (generator, discriminator, lambda shape: discriminator(shape, spectral_norm=True)):
        first, second = build((5,)).state_dict(), build((5,)).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_builds_on_the_meta_device():
    with torch.device("meta"):
        networks = [generator((3, 32, 32), batch_norm=True, initial_std=0.1, classes=3), discriminator((5,), True)]
        networks += [maxout((5,), initial_std=0.1), discriminator((5,), equalized=True, minibatch_std=True)]
    assert all(tensor.is_meta for network in networks for tensor in network.state_dict().values())


@pytest.mark.parametrize("shape", [(), (28, 28), (1, 2, 3, 4), (0,), (1, 0, 8)])
def test_refuses_a_shape_by_name(shape):
    builds = [(generator, "MlpGenerator"), (discriminator, "MlpDiscriminator"), (maxout, "MaxoutDiscriminator")]
    for build, name in builds:
        with pytest.raises(UserError) as caught:
            build(shape)
        assert caught.value.given == f"{name}: shape {shape}"
        assert "(D,) or (C, H, W)" in caught.value.allowed


@pytest.mark.parametrize(
    ("sizes", "given"),
    [((0, 7, 2), "latent_dim=0"), ((6, 0, 2), "width=0"), ((6, 7, -1), "depth=-1")],
)
def test_refuses_sizes_by_name(sizes, given):
    with pytest.raises(UserError, match=f"MlpGenerator: {given}"):
        MlpGenerator((5,), *sizes, False, None, None)


def test_refuses_no_pieces():
    with pytest.raises(UserError, match="MaxoutDiscriminator: pieces=0"):
        maxout((5,), pieces=0)


def test_dropout_drops_hidden_units_in_training_alone():
    network, examples = discriminator((5,), dropout=0.5), torch.randn(4, 5)
    assert not torch.equal(network(examples), network(examples))
    network.eval()
    assert torch.equal(network(examples), network(examples))
    assert sum(isinstance(layer, torch.nn.Dropout) for layer in network.modules()) == 2


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_share_outside_its_range_is_refused(dropout):
    with pytest.raises(UserError, match="dropout"):
        discriminator((5,), dropout=dropout)


def test_batch_norm_follows_every_hidden_layer():
    network = generator((5,), depth=1, batch_norm=True)
    latent = torch.randn(N, LATENT)
    a, b, gain, bias, c, d = (p.detach().numpy() for p in network.parameters())
    hidden = latent.numpy() @ a.T + b
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5) * gain + bias
    np.testing.assert_allclose(network(latent).detach(), np.maximum(hidden, 0) @ c.T + d, rtol=1e-4, atol=1e-5)
    deep = generator((5,), depth=3, batch_norm=True)
    assert sum(isinstance(layer, torch.nn.BatchNorm1d) for layer in deep.modules()) == 3


def test_the_class_is_an_embedding_beside_the_noise():
    network, plain = generator((5,), depth=0, classes=3), generator((5,), depth=0)
    latent, labels = torch.randn(N, LATENT), torch.tensor([2, 0, 1, 2])
    embedding, weight, bias = (p.detach().numpy() for p in network.parameters())
    assert embedding.shape == (3, LATENT)
    told = np.concatenate([latent.numpy(), embedding[labels]], 1)
    np.testing.assert_allclose(network(latent, labels).detach(), told @ weight.T + bias, rtol=1e-5, atol=1e-6)
    assert torch.equal(plain(latent, labels), plain(latent))


def test_initial_weights():
    for network in (generator((1, 8, 8), initial_std=0.3, width=40), maxout((1, 8, 8), initial_std=0.3)):
        weights = torch.cat([p.flatten() for p in network.parameters() if p.ndim == 2])
        assert weights.std().item() == pytest.approx(0.3, rel=0.05)
        assert not any(p.any() for p in network.parameters() if p.ndim == 1)
    assert all(p.any() for p in generator((5,)).parameters())


def test_maxout_takes_the_largest_piece():
    torch.manual_seed(0)
    layer, values = Maxout(4, 2, 3), torch.randn(5, 4)
    weight, bias = (p.detach().numpy() for p in layer.parameters())
    pieces = [values.numpy() @ weight[2 * k : 2 * k + 2].T + bias[2 * k : 2 * k + 2] for k in range(3)]
    np.testing.assert_allclose(layer(values).detach(), np.max(pieces, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("build", [discriminator, maxout])
def test_the_logit_is_read_off_the_features(build, depth):
    network, examples = build((2, 3, 4), depth=depth, minibatch_std=True), torch.randn(N, 2, 3, 4)
    features = network.features(examples)
    assert features.shape == (N, network.feature_dim) == (N, (WIDTH if depth else 24) + 1)
    assert torch.equal(network(examples), network.output(features)[:, 0])
    assert network(examples).shape == (N,)


def test_maxout_gradients():
    network, examples = maxout((5,), minibatch_std=True), torch.randn(N, 5, requires_grad=True)
    (slope,) = torch.autograd.grad(network(examples).sum(), examples, create_graph=True)
    (slope.square().sum() + network(examples).square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in network.parameters())


def test_the_class_is_told_one_hot_beside_vectors_and_as_maps():
    labels = torch.tensor([2, 0])
    vectors, maps = torch.randn(2, 4), torch.randn(2, 1, 5, 6)
    rows = np.array([[0, 0, 1], [1, 0, 0]], dtype=np.float32)
    assert np.array_equal(told(vectors, labels, 3), np.concatenate([vectors, rows], 1))
    planes = np.broadcast_to(rows[:, :, None, None], (2, 3, 5, 6))
    assert np.array_equal(told(maps, labels, 3), np.concatenate([maps, planes], 1))
    assert told(vectors, labels, None) is vectors
    assert told(vectors.double(), labels, 3).dtype == torch.double
    with pytest.raises(UserError, match="a network of 3 classes, and examples without labels"):
        told(vectors, None, 3)


def test_as_many_inputs_as_classes():
    assert [class_inputs("Net", classes) for classes in (None, 1, 7)] == [0, 1, 7]
    with pytest.raises(UserError, match="Net: classes=0"):
        class_inputs("Net", 0)


def test_encoder_and_decoder_equal_numpy():
    labels = torch.tensor([1, 0, 2, 1])
    examples, codes, known = torch.randn(N, 2, 3, 1), torch.randn(N, LATENT), np.eye(3, dtype=np.float32)[labels]
    network = encoder((2, 3, 1), 2, 3)
    a, b, c, d = (p.detach().numpy() for p in network.parameters())
    expected = np.tanh(np.tanh(np.concatenate([examples.flatten(1), known], 1) @ a.T + b) @ c.T + d)
    np.testing.assert_allclose(network(examples, labels).detach(), expected, rtol=1e-5, atol=1e-6)
    assert network.feature_dim == WIDTH
    network = decoder((2, 3, 1), 1, 3)
    a, b, c, d = (p.detach().numpy() for p in network.parameters())
    expected = np.tanh(np.concatenate([codes, known], 1) @ a.T + b) @ c.T + d
    np.testing.assert_allclose(network(codes, labels).detach(), expected.reshape(N, 2, 3, 1), rtol=1e-5, atol=1e-6)


def test_a_decoder_without_depth_is_one_affine_map():
    network, codes = decoder((5,), 0), torch.randn(N, LATENT)
    weight, bias = (p.detach().numpy() for p in network.parameters())
    np.testing.assert_allclose(network(codes).detach(), codes.numpy() @ weight.T + bias, rtol=1e-5, atol=1e-6)


def test_the_published_autoencoder():
    """784-400-40-400-784, without the posterior's head."""
    sizes = [sum(p.numel() for p in net.parameters()) for net in (
        encoder((1, 28, 28), 1, width=400), decoder((1, 28, 28), 1, width=400, latent_dim=40),
    )]  # fmt: skip
    assert sizes == [784 * 400 + 400, 40 * 400 + 400 + 400 * 784 + 784] == [314_000, 330_784]


@pytest.mark.parametrize("shape", [(), (28, 28), (0,), (1, 0, 8)])
def test_encoder_and_decoder_refuse_a_shape_by_name(shape):
    for build, name in ((encoder, "MlpEncoder"), (decoder, "MlpDecoder")):
        with pytest.raises(UserError) as caught:
            build(shape)
        assert caught.value.given == f"{name}: shape {shape}"
        assert "(D,) or (C, H, W)" in caught.value.allowed


def test_encoder_and_decoder_refuse_sizes_by_name():
    for sizes in ({"width": 0}, {"depth": -1}, {"classes": 0}):
        for build in (encoder, decoder):
            with pytest.raises(UserError, match="{}={}".format(*next(iter(sizes.items())))):
                build((5,), **sizes)
    with pytest.raises(UserError, match="MlpEncoder: depth=0"):
        encoder((5,), 0)
    with pytest.raises(UserError, match="MlpDecoder: latent_dim=0"):
        decoder((5,), latent_dim=0)
