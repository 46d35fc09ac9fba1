import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.networks.quantizers.ema import EmaQuantizer
from duogen.networks.quantizers.quantizer import perplexity
from duogen.networks.quantizers.residual import ResidualQuantizer
from duogen.networks.quantizers.vector import VectorQuantizer

N, D, H, W, K, L = 6, 3, 2, 4, 5, 4


def residual(depth=L, revive_from=None):
    torch.manual_seed(0)
    return ResidualQuantizer(EmaQuantizer(D, K, 0.25, 0.9, 1e-12, 0.5, revive_from), depth)


def vectors(depth=L):
    torch.manual_seed(0)
    return ResidualQuantizer(VectorQuantizer(D, K, 0.5), depth)


def by_hand(values, books):
    """Codes (M, L) and what is left before each codebook (L, M, D), in double precision."""
    rest, codes, left = values.copy(), [], []
    for book in books:
        left.append(rest.copy())
        chosen = ((rest[:, None] - book[None]) ** 2).sum(2).argmin(1)
        codes.append(chosen)
        rest = rest - book[chosen]
    return np.stack(codes, 1), np.stack(left), rest


def follow(network, features, step):
    codes = network(features, step).codes
    network.follow(network.gathered(features, codes), network.offered(features, codes, step), step)


def arrays(network):
    return [book.codebook.detach().double().numpy() for book in network.books]


@pytest.mark.parametrize("build", [residual, vectors])
def test_each_codebook_quantises_what_the_ones_before_have_left(build):
    network, features = build(), torch.randn(N, D)
    codes, left, rest = by_hand(features.double().numpy(), arrays(network))
    made = network(features, 0)
    np.testing.assert_array_equal(made.codes, codes)
    np.testing.assert_allclose(made.features.detach(), features.numpy() - rest, atol=1e-6)
    commitment = sum(((each[None] ** 2).sum(2)) for each in [*left[1:], rest])[0]
    np.testing.assert_allclose(made.terms["commitment"].detach(), commitment, rtol=1e-4)


def test_codebooks_differ_from_the_start_and_codes_have_a_depth():
    network = residual()
    assert network.sizes == (K,) * L
    books = [book.codebook for book in network.books]
    assert all(not torch.equal(one, books[0]) for one in books[1:])
    assert network(torch.randn(N, D, H, W), 0).codes.shape == (N, H, W, L)


def test_the_gradient_of_features_is_the_decoders_and_terms_reach_their_own_codebook():
    network, features = vectors(2), torch.randn(N, D, H, W, requires_grad=True)
    made, weights = network(features, 0), torch.randn(N, D, H, W)
    (slope,) = torch.autograd.grad((made.features * weights).sum(), features, retain_graph=True)
    assert torch.equal(slope, weights)
    made.terms["commitment"].sum().backward(retain_graph=True)
    assert all(book.codebook.grad is None for book in network.books)
    whole = network.decode(made.codes).detach()
    first = network.books[0].decode(made.codes[..., 0]).detach()
    z = features.detach()
    torch.testing.assert_close(features.grad, 2 * ((z - first) + (z - whole)) / (H * W), rtol=1e-4, atol=1e-6)
    made.terms["codebook"].sum().backward()
    assert all(book.codebook.grad.any() for book in network.books)


def test_the_perplexity_is_the_mean_over_the_codebooks():
    network = residual()
    made = network(torch.randn(N, D, H, W) / K, 0)
    each = [float(perplexity(made.codes[..., place], K)) for place in range(L)]
    assert float(made.observed["perplexity"]) == pytest.approx(np.mean(each), rel=1e-6)


def test_each_codebook_follows_what_was_left_for_it():
    network, features = residual(), torch.randn(N, D, H, W) / K
    values = features.double().numpy().transpose(0, 2, 3, 1).reshape(-1, D)
    books = arrays(network)
    codes, left, _ = by_hand(values, books)
    follow(network, features, 0)
    for place, book in enumerate(books):
        for k in range(K):
            mine = left[place][codes[:, place] == k]
            count, total = 0.9 + 0.1 * len(mine), 0.9 * book[k] + 0.1 * mine.sum(0)
            np.testing.assert_allclose(network.books[place].codebook[k], total / count, rtol=1e-4, atol=1e-6)


def test_codebooks_that_follow_leave_less_and_less():
    network = residual(revive_from=1)
    torch.manual_seed(1)
    for number in range(80):
        features = torch.randn(32, D)
        follow(network, features, number)
    features = torch.randn(200, D)
    left = features
    errors = []
    for book, code in zip(network.books, network(features, 0).codes.unbind(-1), strict=True):
        left = left - book.decode(code)
        errors.append(float(left.square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]


def test_each_codebook_is_offered_what_was_left_for_it():
    network, features = residual(2, revive_from=1), torch.randn(N, D)
    _, left, _ = by_hand(features.double().numpy(), arrays(network))
    offered = network.offered(features, network(features, 1).codes, 1).view(2, K, D)
    for mine, rest in zip(offered, torch.from_numpy(left).float(), strict=True):
        assert float(torch.cdist(mine, rest).min(1).values.max()) < 1e-3


def test_codebooks_that_learn_by_gradients_follow_nothing():
    network, features = vectors(3), torch.randn(N, D)
    before = [book.copy() for book in arrays(network)]
    assert network.gathered(features, network(features, 0).codes).shape == (0,)
    follow(network, features, 5)
    assert all(np.array_equal(one, other) for one, other in zip(before, arrays(network), strict=True))


def test_refuses_one_codebook_alone():
    with pytest.raises(UserError, match="ResidualQuantizer: depth=1"):
        residual(1)
