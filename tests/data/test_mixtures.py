import math

import pytest
import torch

from duogen.data.mixtures import GaussianMixture


@pytest.fixture(params=["ring", "grid"])
def mixture(request, built):
    return built(request.param)


def distances(data, name):
    """Each point's distance from the mean of its label, in standard deviations."""
    split = data.splits[name]
    return (split.values - data.means[split.labels]).norm(dim=1) / data.std


def test_ring_means_lie_on_the_unit_circle(built):
    ring = built("ring")
    assert ring.std == 0.01
    half = math.sqrt(0.5)
    expected = [(1, 0), (half, half), (0, 1), (-half, half), (-1, 0), (-half, -half), (0, -1), (half, -half)]
    torch.testing.assert_close(ring.means, torch.tensor(expected))


def test_grid_means_are_the_papers(built):
    grid = built("grid")
    assert grid.std == 0.05
    assert grid.means.tolist() == [[-4 + 2 * i, -4 + 2 * j] for i in range(5) for j in range(5)]


def test_counts(mixture):
    assert {name: len(split) for name, split in mixture.splits.items()} == {
        "train": 100_000,
        "validate": 2500,
        "test": 2500,
    }
    assert mixture.splits["train"].values.shape == (100_000, 2)
    assert mixture.splits["train"].labels.max() + 1 == mixture.classes == len(mixture.means)


@pytest.mark.parametrize("name", ["train", "validate", "test"])
def test_share_of_points_within_three_deviations_is_the_ceiling(mixture, name):
    near = (distances(mixture, name) <= 3).double()
    ceiling = 1 - math.exp(-9 / 2)  # Rayleigh
    assert near.mean().item() == pytest.approx(ceiling, abs=4 * math.sqrt(ceiling * (1 - ceiling) / len(near)))


def test_points_have_the_moments_of_their_component(mixture):
    split = mixture.splits["train"]
    noise = (split.values - mixture.means[split.labels]).double() / mixture.std
    torch.testing.assert_close(noise.T.cov(), torch.eye(2).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(noise.mean(0), torch.zeros(2).double(), atol=0.02, rtol=0)


def test_components_are_equally_likely(mixture):
    counts = mixture.splits["train"].labels.bincount(minlength=mixture.classes).double()
    expected = 100_000 / mixture.classes
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected)


def test_points_are_fixed_whatever_the_runs_seed(mixture, request, built):
    again = built(request.node.callspec.params["mixture"], seed=8)
    assert again.checksum() == mixture.checksum()
    other = built(request.node.callspec.params["mixture"], points_seed=1)
    assert other.checksum() != mixture.checksum()


def test_splits_are_different_draws(mixture):
    train, validate, test = (mixture.splits[name].values[:2500] for name in ("train", "validate", "test"))
    assert not {tuple(x) for x in train.tolist()} & {tuple(x) for x in validate.tolist()}
    assert not {tuple(x) for x in validate.tolist()} & {tuple(x) for x in test.tolist()}


def test_drawing_leaves_global_generators_alone(mixture, global_generators):
    before = global_generators()
    mixture.setup()
    assert global_generators() == before


def test_mixture_of_any_means_in_any_dimension():
    means = [[1.0, 2.0, 3.0], [-1.0, 0.0, 5.0]]
    data = GaussianMixture([3], 2, 4, 0, 0, means=means, std=0.5, train_size=40, evaluation_size=10, points_seed=0)
    assert next(data.stream(0)).values.shape == (4, 3)
    assert data.means.tolist() == means
