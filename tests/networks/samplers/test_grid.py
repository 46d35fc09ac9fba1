"""Codes drawn one after the other: probabilities, quantiles and places, on a network that is known."""

import pytest
import torch
from scipy.stats import norm

from duogen.networks.samplers.descent import Descent
from duogen.networks.samplers.grid import GridSampler, quantile
from duogen.networks.samplers.pixelcnn import PixelcnnSampler

FITTING = Descent(1e-2, 32, 10, 10, 1)


class Blind(GridSampler):
    """Sees nothing before a place."""

    def seen(self, values, labels):
        return torch.zeros_like(values)


def every(shape, size):
    """All grids of a shape."""
    places = torch.Size(shape).numel()
    return torch.cartesian_prod(*[torch.arange(size)] * places).view(-1, *shape)


@pytest.mark.parametrize(
    ("places", "sizes", "shape"),
    [([2, 3], [2], (2, 3)), ([], [5], ()), ([], [2, 2, 2], (3,)), ([1, 2], [2, 2, 2], (1, 2, 3))],
)
def test_the_probabilities_of_all_grids_sum_to_one(places, sizes, shape):
    torch.manual_seed(0)
    sampler = PixelcnnSampler(places, sizes, None, 4, 2, 3, FITTING)
    assert sampler.noise_dim == torch.Size([*places, len(sizes)]).numel()
    grids = every(shape, sizes[0]) if shape else torch.arange(5)
    assert sampler.log_prob(grids, None).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert sampler(torch.randn(4, sampler.noise_dim), None).shape == (4, *shape)


@pytest.mark.parametrize(("places", "sizes", "shape"), [([2, 2], [2], (2, 2)), ([1, 2], [2, 2], (1, 2, 2))])
def test_draws_have_the_probabilities_that_it_says(places, sizes, shape):
    torch.manual_seed(1)
    sampler = PixelcnnSampler(places, sizes, None, 4, 2, 3, FITTING)
    for head in sampler.heads:
        head[-1].weight.data *= 8
    drawn = sampler(torch.randn(20_000, 4), None)
    grids = every(shape, 2)
    counts = (drawn[:, None] == grids).flatten(2).all(2).float().mean(0)
    assert counts.tolist() == pytest.approx(sampler.log_prob(grids, None).exp().tolist(), abs=0.015)
    assert counts.max() > 0.1


def test_codes_may_have_different_sizes():
    sampler = Blind([2, 1], [3, 5], None, 4, FITTING)
    drawn = sampler(torch.randn(500, 4), None)
    assert drawn.amax((0, 1, 2)).tolist() == [2, 4]
    assert sampler.log_prob(drawn, None).shape == (500,)


def test_a_later_code_of_a_place_knows_the_earlier_ones():
    torch.manual_seed(0)
    sampler = Blind([1, 2], [3, 4], None, 6, FITTING)
    codes = torch.zeros(2, 1, 2, 2, dtype=torch.long)
    codes[1, 0, 0, 0] = 2
    first, second = sampler.logits(codes, None)
    assert torch.equal(first[0], first[1])
    assert not torch.allclose(second[0, 0, 0], second[1, 0, 0])
    assert torch.equal(second[0, 0, 1], second[1, 0, 1])


def test_the_quantile_is_the_first_code_whose_distribution_exceeds_the_share():
    logits = torch.tensor([0.2, 0.0, 0.5, 0.3]).log().expand(6, -1)
    shares = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 1.0], dtype=torch.float64)
    assert quantile(logits, shares).tolist() == [0, 0, 2, 2, 3, 3]


def test_noise_is_taken_by_its_distribution_function():
    sampler = Blind([1, 1], [4], None, 2, FITTING)
    head = sampler.heads[0][-1]
    head.weight.data.zero_()
    head.bias.data.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]).log())
    noise = torch.tensor(norm.ppf([[0.05], [0.25], [0.55], [0.7]]), dtype=torch.float32)
    assert sampler(noise, None).flatten().tolist() == [0, 1, 2, 3]
