import math

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.networks.quantizers.finite_scalar import FiniteScalarQuantizer

LEVELS = [[8, 5, 5, 5], [3, 4, 2], [5], [2, 2]]


def finite(levels, dim=None):
    """Without its affine maps where no `dim` is given."""
    torch.manual_seed(0)
    network = FiniteScalarQuantizer(dim or len(levels), levels)
    if dim is None:
        network.inwards = network.outwards = torch.nn.Identity()
    return network


@pytest.mark.parametrize("levels", LEVELS)
def test_the_codes_are_all_points_of_the_grid_once(levels):
    network, count = finite(levels), math.prod(levels)
    assert network.sizes == (count,)
    points = network.decode(torch.arange(count))
    assert len(points.unique(dim=0)) == count
    for place, size in enumerate(levels):
        torch.testing.assert_close(points[:, place].unique(), torch.linspace(-1, 1, size))


@pytest.mark.parametrize("levels", LEVELS)
def test_every_code_is_the_code_of_its_own_point(levels):
    network, codes = finite(levels), torch.arange(math.prod(levels))
    values = torch.atanh(network.decode(codes).clamp(-0.999, 0.999))
    assert torch.equal(network(values, 0).codes, codes)


def test_the_code_is_a_number_of_mixed_radix():
    network = finite([3, 4, 2])
    digits = np.stack(np.unravel_index(np.arange(24), (3, 4, 2), order="F"), 1)
    np.testing.assert_array_equal(network.digits(torch.arange(24)), digits)


def test_values_are_rounded_as_the_paper_does_it_for_odd_levels():
    """Section 3.1: round(floor(L / 2) tanh z), here divided by floor(L / 2)."""
    network, values = finite([5, 7]), torch.randn(50, 2)
    half = np.array([2, 3])
    expected = np.round(half * np.tanh(values.numpy())) / half
    np.testing.assert_allclose(network(values, 0).features, expected, atol=1e-6)


def test_the_paper_rounds_even_levels_so_up_to_two_shifts():
    """Appendix A.1 with epsilon 0: round(tanh(z + s) h - 1 / 2), h = (L - 1) / 2, s any shift of what comes in."""
    network, values, half = finite([8, 4]), torch.randn(50, 2), np.array([3.5, 1.5])
    theirs = np.round(np.tanh(values.numpy()) * half - 0.5)
    ours = network.digits(network(values, 0).codes).numpy()
    np.testing.assert_array_equal(ours, theirs + np.array([4, 2]))


def test_the_gradient_passes_the_rounding():
    network, values = finite([5, 4]), torch.randn(6, 2, requires_grad=True)
    weights = torch.randn(6, 2)
    (slope,) = torch.autograd.grad((network(values, 0).features * weights).sum(), values)
    torch.testing.assert_close(slope, weights * (1 - values.detach().tanh() ** 2))


def test_extreme_values_stay_on_the_grid():
    network = finite([4, 3])
    made = network(torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), 0)
    assert made.codes.tolist() == [3, 8]
    assert made.features.tolist() == [[1, -1], [-1, 1]]


def test_affine_maps_lead_to_the_levels_and_back():
    network, features = finite([5, 4, 3], dim=7), torch.randn(2, 7, 4, 3)
    made = network(features, 0)
    inside = features.permute(0, 2, 3, 1) @ network.inwards.weight.T + network.inwards.bias
    codes = finite([5, 4, 3])(inside.permute(0, 3, 1, 2), 0).codes
    assert torch.equal(made.codes, codes)
    assert made.features.shape == (2, 7, 4, 3)
    assert made.terms == {}


@pytest.mark.parametrize("levels", [[], [5, 1], [0]])
def test_refuses_levels_by_name(levels):
    with pytest.raises(UserError) as caught:
        FiniteScalarQuantizer(3, levels)
    assert caught.value.given == f"FiniteScalarQuantizer: levels={levels}"
