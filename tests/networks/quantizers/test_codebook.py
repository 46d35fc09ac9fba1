import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.networks.quantizers.ema import EmaQuantizer
from duogen.networks.quantizers.vector import VectorQuantizer

N, D, H, W, K = 5, 3, 2, 4, 7


def vector():
    torch.manual_seed(0)
    return VectorQuantizer(D, K, 0.25)


def ema(commitment=0.25):
    torch.manual_seed(0)
    return EmaQuantizer(D, K, commitment, 0.9, 1e-12, 0.1, None)


def brute_force(features, codebook):
    """The codes and vectors of features (N, D, h, w), by all distances in double precision."""
    codes, vectors = np.zeros((N, H, W), int), np.zeros((N, D, H, W))
    for place in np.ndindex(N, H, W):
        n, i, j = place
        distances = ((features[n, :, i, j] - codebook) ** 2).sum(1)
        codes[place] = distances.argmin()
        vectors[n, :, i, j] = codebook[codes[place]]
    return codes, vectors


@pytest.mark.parametrize("build", [vector, ema])
def test_the_code_is_that_of_the_nearest_vector(build):
    network, features = build(), torch.randn(N, D, H, W)
    codes, vectors = brute_force(features.double().numpy(), network.codebook.detach().double().numpy())
    made = network(features, 0)
    assert len(np.unique(codes)) >= 5
    np.testing.assert_array_equal(made.codes, codes)
    np.testing.assert_allclose(made.features.detach(), vectors, atol=1e-6)


@pytest.mark.parametrize("build", [vector, ema])
def test_the_commitment_sums_over_the_vector_and_averages_over_places(build):
    network, features = build(), torch.randn(N, D, H, W)
    _, vectors = brute_force(features.double().numpy(), network.codebook.detach().double().numpy())
    made = network(features, 0)
    expected = ((features.numpy() - vectors) ** 2).sum(1).mean((1, 2))
    np.testing.assert_allclose(made.terms["commitment"].detach(), expected, rtol=1e-5)
    assert made.weights == {"commitment": 0.25}


@pytest.mark.parametrize("build", [vector, ema])
def test_the_commitment_moves_features_alone_and_the_features_gradient_is_the_decoders(build):
    network, features = build(), torch.randn(N, D, H, W, requires_grad=True)
    made, weights = network(features, 0), torch.randn(N, D, H, W)
    (slope,) = torch.autograd.grad((made.features * weights).sum(), features, retain_graph=True)
    assert torch.equal(slope, weights)
    made.terms["commitment"].sum().backward()
    vectors = network.decode(made.codes).detach()
    torch.testing.assert_close(features.grad, 2 * (features.detach() - vectors) / (H * W))
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("build", [vector, ema])
def test_vectors_start_near_length_one_and_start_anew_elsewhere(build):
    network = build()
    before = network.codebook.detach().clone()
    network.start()
    for codebook in (before, network.codebook.detach()):
        assert 0.8 < codebook.abs().max() <= 1  # the square root of 3 / D, D being 3
    assert not torch.equal(before, network.codebook)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0, 7, 0.25), "dim=0"), ((3, 0, 0.25), "size=0"), ((3, 7, -1.0), "commitment=-1")],
)
def test_refuses_numbers_by_name(arguments, named):
    with pytest.raises(UserError, match=f"VectorQuantizer: {named}"):
        VectorQuantizer(*arguments)
