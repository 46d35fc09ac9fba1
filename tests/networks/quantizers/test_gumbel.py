import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy, gumbel_r, kstest

from duogen.errors import UserError
from duogen.networks.quantizers.gumbel import GumbelQuantizer, gumbel
from duogen.networks.quantizers.gumbel import entropy as ours
from duogen.ramp import Linear

N, D, H, W, K = 5, 3, 2, 4, 7


def categories(temperature=1.0, straight_through=False, beta=1.0):
    torch.manual_seed(0)
    return GumbelQuantizer(D, K, temperature, straight_through, beta)


def logits_of(network, features):
    weight, bias = network.logits.weight.detach().numpy(), network.logits.bias.detach().numpy()
    return features.detach().numpy().transpose(0, 2, 3, 1) @ weight.T + bias


def test_the_noise_is_gumbels():
    torch.manual_seed(0)
    assert kstest(gumbel(torch.zeros(4000)).numpy(), gumbel_r.cdf).pvalue > 0.01


def test_the_rate_is_the_divergence_from_uniform_in_nats_summed_over_places():
    network, features = categories(), torch.randn(N, D, H, W)
    shares = softmax(logits_of(network, features), -1)
    expected = entropy(shares, np.full(K, 1 / K)[None, None, None], axis=-1).sum((1, 2))
    made = network(features, 0)
    np.testing.assert_allclose(made.terms["rate"].detach(), expected, rtol=1e-4)
    assert made.weights == {"rate": 1.0}


def test_the_rate_ends_at_nothing_and_at_the_logarithm_of_the_categories():
    torch.testing.assert_close(ours(torch.zeros(2, K)), torch.full((2,), math.log(K)))
    torch.testing.assert_close(ours(100 * torch.eye(K)), torch.zeros(K))


def test_soft_features_are_the_mixture_of_the_relaxed_draw():
    network, features = categories(temperature=0.7), torch.randn(N, D, H, W)
    torch.manual_seed(3)
    made = network(features, 0)
    torch.manual_seed(3)
    scores = logits_of(network, features) + gumbel(torch.zeros(N, H, W, K)).numpy()
    mixed = softmax(scores / 0.7, -1) @ network.vectors.weight.detach().numpy()
    np.testing.assert_allclose(made.features.detach(), mixed.transpose(0, 3, 1, 2), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(made.codes, scores.argmax(-1))


def test_straight_through_features_are_hard_with_the_soft_gradient():
    features, slopes, weights = torch.randn(N, D, H, W), [], torch.randn(N, D, H, W)
    for straight_through in (False, True):
        network = categories(0.7, straight_through)
        torch.manual_seed(3)
        made = network(features, 0)
        slopes.append(torch.autograd.grad((made.features * weights).sum(), network.logits.weight)[0])
        hard = network.decode(made.codes)
        assert torch.allclose(made.features, hard, atol=1e-5) == straight_through
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-5)


def test_draws_follow_the_categories():
    network, features = categories(), torch.randn(1, D, 1, 1)
    shares = softmax(logits_of(network, features), -1).flatten()
    codes = network(features.expand(4000, D, 1, 1), 0).codes.flatten().numpy()
    found = np.bincount(codes, minlength=K) / 4000
    assert (np.abs(found - shares) < 4 * np.sqrt(shares * (1 - shares) / 4000)).all()


def test_evaluation_takes_the_likeliest_category_and_draws_nothing():
    network, features = categories().eval(), torch.randn(N, D, H, W)
    state = torch.get_rng_state()
    made = network(features, 0)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(made.codes, logits_of(network, features).argmax(-1))
    torch.testing.assert_close(made.features, network.decode(made.codes))


def test_temperature_and_weight_follow_the_step():
    network = categories(Linear(2.0, 0.001, 0, 10), False, Linear(0.0, 4.0, 0, 8))
    features = torch.randn(N, D, H, W)
    assert network(features, 2).weights["rate"] == 1.0
    apart = []
    for step in (0, 10):
        torch.manual_seed(3)
        made = network(features, step)
        apart.append(float((made.features - network.decode(made.codes)).detach().abs().max()))
    assert apart[0] > 0.1 > apart[1]


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"beta": -1.0}])
def test_refuses_numbers_by_name(wrong):
    with pytest.raises(UserError) as caught:
        categories(**wrong)
    name, value = next(iter(wrong.items()))
    assert f"{name}={value}" in caught.value.given


def test_refuses_a_single_category():
    with pytest.raises(UserError, match="size=1"):
        GumbelQuantizer(D, 1, 1.0, False, 1.0)
