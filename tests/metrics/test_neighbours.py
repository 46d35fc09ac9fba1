import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.metrics import neighbours
from duogen.metrics.neighbours import Neighbours, proportions, radii
from metrics.fakes import Fake, computed, normal

NAMES = ("precision", "recall", "density", "coverage")


def measured(generated, real, k):
    values = computed(Neighbours(Fake(generated.shape[1]), k), generated, real)
    return [values[f"{name}_fake"] for name in NAMES]


def reference(generated, real, k):
    g, r = generated.double().numpy(), real.double().numpy()
    distance = lambda a, b: np.linalg.norm(a[:, None] - b[None], axis=2)  # noqa: E731
    radius_g, radius_r = (np.sort(distance(a, a), axis=1)[:, k] for a in (g, r))
    across = distance(g, r)
    inside = across <= radius_r
    return [
        inside.any(1).mean(),
        (across <= radius_g[:, None]).any(0).mean(),
        inside.sum() / (k * len(g)),
        inside.any(0).mean(),
    ]


@pytest.mark.parametrize("block", [4, 17, 2048])
@pytest.mark.parametrize(("n", "m", "k"), [(23, 31, 1), (31, 23, 5), (6, 9, 5)])
def test_equals_numpy_whatever_the_block(n, m, k, block, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    generated, real = normal(n, 3, seed=1, shift=0.4), normal(m, 3, seed=2)
    assert measured(generated, real, k) == pytest.approx(reference(generated, real, k), rel=1e-12)


def test_the_hand_made_line():
    """Radii of 0, 1, 3 at k = 1 are 1, 1, 2: balls [-1, 1], [0, 2], [1, 5]."""
    real, generated = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[5.0], [9.0], [1.0], [1.5]])
    precision, recall, density, coverage = measured(generated, real, 1)
    assert precision == 3 / 4
    assert density == (1 + 0 + 3 + 2) / 4
    assert coverage == 1
    assert recall == 1 / 3 + 1 / 3  # balls of 5, 9, 1, 1.5 are [1, 9], [5, 13], [0.5, 1.5], [1, 2]


@pytest.mark.parametrize(
    "values", [normal(40, 4), normal(40, 4).repeat(3, 1), torch.full((9, 4), 1e3), normal(30, 4, shift=1e3)]
)
def test_identical_sets_are_precise_and_covered(values):
    shuffled = values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))]
    precision, recall, _, coverage = measured(values, shuffled, 2)
    assert (precision, recall, coverage) == (1, 1, 1)


@pytest.mark.parametrize("far", [0, 1000])
def test_a_point_on_the_rim_is_inside(far):
    """Many distances are equal among tenths of whole coordinates, but for rounding, the more so far from the origin."""
    generator = torch.Generator().manual_seed(3)
    whole = [torch.randint(0, 4, (count, 5), generator=generator) for count in (60, 50)]
    generated, real = ((side + far).double() / 10 for side in whole)
    found = proportions(generated, real, radii(generated, 3)["squared"], radii(real, 3)["squared"], 3)
    np.testing.assert_allclose(found, reference(*whole, 3), rtol=1e-12)


def test_swapped_sets_swap_precision_and_recall():
    generated, real = normal(40, 3, seed=1, scale=0.4), normal(30, 3, seed=2)
    assert measured(generated, real, 3)[:2] == measured(real, generated, 3)[1::-1]


def test_a_narrow_generator_is_precise_but_recalls_little():
    precision, recall, _, coverage = measured(normal(200, 3, seed=1, scale=0.2), normal(200, 3, seed=2), 3)
    assert precision > 0.95
    assert recall < 0.3
    assert coverage < 0.5


def test_coverage_of_one_law_is_near_one_minus_a_power_of_two():
    assert measured(normal(1500, 3, seed=1), normal(1500, 3, seed=2), 5)[3] == pytest.approx(1 - 2**-5, abs=0.02)


def test_growing_corruption_loses_coverage():
    real, noise = normal(100, 4, seed=1), normal(100, 4, seed=2)
    found = [measured(normal(100, 4, seed=3) + strength * (noise + 1), real, 5)[3] for strength in (0, 0.5, 1, 3)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(("n", "m", "short"), [(5, 9, "n_generated"), (9, 5, "n_real")])
def test_as_many_neighbours_as_examples_are_refused(n, m, short):
    with pytest.raises(UserError, match=f"{short} >= 6"):
        measured(normal(n, 3), normal(m, 3), 5)


def test_no_neighbour_is_refused():
    with pytest.raises(UserError, match="k >= 1"):
        Neighbours(Fake(2), 0)


def test_the_protocol_names_k():
    assert Neighbours(Fake(2), 4).protocol()["k"] == 4
