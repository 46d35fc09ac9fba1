"""What holds for every quantizer, found on disk with its YAML; and what they share."""

import copy
import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from duogen.compose import compose
from duogen.conftree import conf_dir
from duogen.experiment.build import build
from duogen.networks.quantizers.quantizer import one_hot, over_places, passed_through, perplexity, unrounded

N, D, H, W = 5, 3, 2, 4
OPTIONS = sorted(path.stem for path in (conf_dir() / "quantizer").glob("*.yaml"))
SMALL = {"ema": ("size=7",), "vector": ("size=7",), "gumbel": ("size=7",), "residual": ("inner.size=7", "depth=2"),
         "finite_scalar": ("levels=[3,2,4]",)}  # fmt: skip
SHAPES = [(N, D, H, W), (N, D)]


@cache
def node(option):
    chosen = [f"quantizer.{value}" for value in SMALL[option]]
    return compose(["model=vq_vae", f"quantizer={option}", f"latent_dim={D}", *chosen]).config["quantizer"]


def quantizer(option):
    torch.manual_seed(0)
    return build(node(option))


def test_all_were_found():
    assert len(OPTIONS) >= 5
    assert set(SMALL) == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_codes_have_their_values_and_features_their_shape(option, shape):
    made = quantizer(option)(features := torch.randn(shape, requires_grad=True), 0)
    sizes = quantizer(option).sizes
    assert made.features.shape == shape
    assert made.codes.shape == (N, *shape[2:], *([len(sizes)] if len(sizes) > 1 else []))
    assert made.codes.dtype == torch.int64
    for size, codes in zip(sizes, made.codes.reshape(-1, len(sizes)).unbind(-1), strict=True):
        assert 0 <= int(codes.min()) <= int(codes.max()) < size
    assert {term.shape for term in made.terms.values()} <= {(N,)}
    assert made.observed["perplexity"].shape == ()
    assert set(made.weights) <= set(made.terms)
    made.features.square().sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert features.grad.any()


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_codes_decode_to_the_features_of_evaluation(option, shape):
    network = quantizer(option).eval()
    made = network(torch.randn(shape), 0)
    torch.testing.assert_close(network.decode(made.codes), made.features)
    again = network(made.features, 0)
    assert torch.equal(network(torch.zeros(shape), 0).codes, network(torch.zeros(shape), 9).codes)
    assert again.features.shape == shape


@pytest.mark.parametrize("option", OPTIONS)
def test_every_parameter_receives_a_finite_gradient(option):
    network = quantizer(option)
    made = network(torch.randn(N, D, H, W, requires_grad=True), 0)
    (made.features.square().sum() + sum(term.sum() for term in made.terms.values())).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("option", OPTIONS)
def test_half_precision_around_it_changes_no_code(option):
    network, features = quantizer(option).eval(), torch.randn(N, D, H, W)
    made = network(features, 0)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(features, 0)
        decoded = network.decode(made.codes)
    assert half.features.dtype == decoded.dtype == torch.float32
    assert torch.equal(half.codes, made.codes)
    assert torch.equal(decoded, network.decode(made.codes))


@pytest.mark.parametrize("option", OPTIONS)
def test_a_places_code_is_that_of_its_own_features(option):
    network, features = quantizer(option).eval(), torch.randn(N, D, H, W)
    codes = network(features, 0).codes
    for place in [(0, 0), (1, 2), (0, 3)]:
        alone = network(features[:, :, *place], 0).codes
        assert torch.equal(codes[:, *place], alone)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_copy_is_independent_and_the_meta_device_serves(option):
    network, features = quantizer(option).eval(), torch.randn(N, D, H, W)
    before, twin = network(features, 0).features, copy.deepcopy(network)
    with torch.no_grad():
        for state in [*twin.parameters(), *(b for b in twin.buffers() if b.is_floating_point())]:
            state.mul_(3)
    assert torch.equal(network(features, 0).features, before)
    with torch.device("meta"):
        assert quantizer(option).train()(torch.empty(N, D, H, W), 0).features.shape == (N, D, H, W)


def test_the_gradient_passes_as_it_is():
    values, quantised = torch.randn(N, D, requires_grad=True), torch.randn(N, D)
    weights = torch.randn(N, D)
    passed = passed_through(values, quantised)
    torch.testing.assert_close(passed, quantised)
    (slope,) = torch.autograd.grad((passed * weights).sum(), values)
    assert torch.equal(slope, weights)


def test_perplexity_of_uniform_use_is_the_number_of_codes_and_of_one_code_one():
    assert float(perplexity(torch.arange(11).repeat(3), 11)) == pytest.approx(11, rel=1e-6)
    assert float(perplexity(torch.arange(4), 11)) == pytest.approx(4, rel=1e-6)
    assert float(perplexity(torch.full((2, 3), 5), 11)) == 1


def test_perplexity_is_the_exponential_of_the_entropy():
    codes = torch.randint(6, (4, 3, 5))
    counts = np.bincount(codes.flatten().numpy(), minlength=6)
    assert float(perplexity(codes, 6)) == pytest.approx(math.exp(entropy(counts)), rel=1e-5)


def test_one_hot_is_torchs():
    codes = torch.randint(6, (4, 3))
    assert torch.equal(one_hot(codes, 6), torch.nn.functional.one_hot(codes, 6).float())


@pytest.mark.parametrize("shape", [(N,), (N, 4), (N, 2, 3)])
def test_the_mean_over_places(shape):
    values = torch.randn(shape)
    np.testing.assert_allclose(over_places(values), values.numpy().reshape(N, -1).mean(1), rtol=1e-5, atol=1e-7)


def test_single_precision_is_left_alone_where_there_is_no_autocast():
    with torch.autocast("cpu", torch.bfloat16), unrounded(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with unrounded(torch.device("meta")):
        assert torch.ones(1, device="meta").is_meta
