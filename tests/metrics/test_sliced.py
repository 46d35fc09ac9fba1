import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.metrics import sliced
from duogen.metrics.sliced import SlicedWasserstein, squared_wasserstein
from metrics.fakes import Fake, computed, normal


def measured(generated, real, projections=130, seed=0):
    metric = SlicedWasserstein(Fake(generated.shape[1]), projections, seed)
    return computed(metric, generated, real)["sliced_wasserstein_fake"]


@pytest.mark.parametrize(("n", "m"), [(7, 7), (4, 6), (5, 3), (1, 8)])
def test_on_a_line_it_is_the_integral_over_quantiles(n, m):
    """Against copies of every point up to the common multiple of the counts, sorted."""
    x, y = normal(n, 3, seed=1).double(), normal(m, 3, seed=2).double()
    whole = np.lcm(n, m)
    a, b = (np.sort(np.repeat(v.numpy(), whole // len(v), axis=0), axis=0) for v in (x, y))
    np.testing.assert_allclose(squared_wasserstein(x, y), ((a - b) ** 2).mean(0), rtol=1e-12)


def test_in_one_dimension_it_is_the_root_of_the_mean_square():
    assert measured(torch.tensor([[0.0], [1.0]]), torch.tensor([[5.0], [3.0]])) == pytest.approx(
        2 * ((9 + 16) / 2) ** 0.5
    )


def test_a_shift_costs_its_length_by_the_root_of_the_dimension():
    """For x and x + t, W_2 along d is |d.t|, and the mean of (d.t)^2 over the sphere is |t|^2 / D."""
    x, shift = normal(20, 4), torch.tensor([3.0, 0.0, 4.0, 0.0])
    assert measured(x + shift, x, projections=4000) == pytest.approx(2 * 5 / 2, rel=0.03)


@pytest.mark.parametrize(("block", "rows"), [(1, 2), (50, 4), (64, 512)])
def test_equals_numpy_over_its_directions_whatever_the_block(block, rows, monkeypatch):
    monkeypatch.setattr(sliced, "BLOCK", block)
    monkeypatch.setattr(sliced, "ROWS", rows)
    x, y = normal(9, 4, seed=1), normal(9, 4, seed=2)
    directions = SlicedWasserstein(Fake(4), 130, 7).directions().numpy()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1)
    a, b = (np.sort(2 * v.double().numpy() @ directions, axis=0) for v in (x, y))
    assert measured(x, y, seed=7) == pytest.approx(((a - b) ** 2).mean() ** 0.5, rel=1e-9)


def test_identical_sets_are_at_zero_in_any_order():
    x = normal(30, 4)
    assert measured(x, x.flip(0)) == pytest.approx(0, abs=1e-9)


def test_growing_corruption_makes_it_grow():
    real = normal(80, 4, seed=1)
    found = [measured(normal(80, 4, seed=2) * (1 + strength), real) for strength in (0, 0.5, 1, 2)]
    assert found == sorted(found)


def test_the_seed_decides():
    x, y = normal(9, 4, seed=1), normal(9, 4, seed=2)
    assert measured(x, y, seed=1) == measured(x, y, seed=1) != measured(x, y, seed=2)


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="projections=0"):
        SlicedWasserstein(Fake(2), 0, 0)
    with pytest.raises(UserError, match="n_real >= 1"):
        measured(normal(3, 2), normal(0, 2))
