from math import log

import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.metrics.mixture import MixtureModes
from duogen.records import Examples

CORNERS = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]
NO_POINTS = Examples(torch.zeros(0, 2))


def measured(points, means=CORNERS, std=1.0) -> dict[str, float]:
    metric = MixtureModes(means, std)
    metric.update(Examples(points), NO_POINTS)
    return {name: value.item() for name, value in metric.compute().items()}


def drawn(count, means, std, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor(means)[torch.randint(len(means), (count,), generator=generator)]
    return centres + std * torch.randn(count, 2, generator=generator)


@pytest.mark.parametrize(
    ("points", "found", "share", "entropy"),
    [
        ([[0.0, 0.0], [10.0, 1.0], [1.0, 9.0], [12.0, 12.0]], 4, 1.0, log(4)),
        ([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [10.0, 10.0]], 2, 1.0, 0.25 * log(4) + 0.75 * log(4 / 3)),
        ([[0.0, 3.0], [0.0, 3.001], [5.0, 5.0], [2.5, 2.5]], 1, 0.25, 0.0),
        ([[5.0, 5.0], [-9.0, 0.0]], 0, 0.0, 0.0),
        ([[0.0, 0.0], [float("nan"), 0.0], [float("inf"), 0.0], [10.0, 0.0]], 2, 0.5, log(2)),
    ],
    ids=["even", "uneven", "edge of three std", "none near", "not finite"],
)
def test_hand_made_points(points, found, share, entropy):
    values = measured(torch.tensor(points))
    assert values["modes_found"] == found
    assert values["high_quality"] == share
    assert values["mode_entropy_gap"] == pytest.approx(log(4) - entropy)


def test_equals_numpy_on_a_wide_mixture():
    means, std = [[0.0, 0.0], [1.0, 0.5], [-2.0, 1.0]], 0.3
    points = drawn(200, means, 3 * std, seed=1)
    distances = np.linalg.norm(points.double().numpy()[:, None] - np.array(means), axis=2)
    nearest = distances.argmin(axis=1)[distances.min(axis=1) <= 3 * std]
    shares = np.bincount(nearest, minlength=3) / len(nearest)
    values = measured(points, means, std)
    assert 0 < len(nearest) < 200
    assert values["modes_found"] == len(set(nearest))
    assert values["high_quality"] == pytest.approx(len(nearest) / 200)
    assert values["mode_entropy_gap"] == pytest.approx((shares * np.log(3 * shares)).sum())


def test_the_mixture_itself_reaches_its_ceiling():
    """P(|x| <= 3) = 1 - exp(-9/2) in two dimensions; three standard errors at n = 20,000."""
    values, ceiling = measured(drawn(20_000, CORNERS, 0.1), std=0.1), 1 - np.exp(-4.5)
    assert values["high_quality"] == pytest.approx(ceiling, abs=3 * np.sqrt(ceiling * (1 - ceiling) / 20_000))
    assert values["modes_found"] == 4
    assert values["mode_entropy_gap"] < 10 * 3 / (2 * 20_000)


def test_does_not_depend_on_batches_or_ranks():
    points = drawn(50, CORNERS, 1.5)
    first, second = MixtureModes(CORNERS, 1.0), MixtureModes(CORNERS, 1.0)
    first.update(Examples(points[:7]), NO_POINTS)
    first.update(Examples(points[7:20]), NO_POINTS)
    second.update(Examples(points[20:]), NO_POINTS)
    first.merge_state(second)
    assert {name: value.item() for name, value in first.compute().items()} == measured(points)


def test_real_points_do_not_matter():
    points, metric = drawn(30, CORNERS, 1.5), MixtureModes(CORNERS, 1.0)
    metric.update(Examples(points), Examples(drawn(30, CORNERS, 1.0)))
    assert {name: value.item() for name, value in metric.compute().items()} == measured(points)


def test_means_of_three_coordinates():
    values = measured(torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, -3.5]]), means=[[0.0, 0.0, 0.0]])
    assert values == {"modes_found": 1, "high_quality": 0.5, "mode_entropy_gap": 0.0}


@pytest.mark.parametrize("means", [[], [[]], [[0.0, 1.0], [2.0]]])
def test_means_that_are_no_points_of_one_space_are_refused(means):
    with pytest.raises(UserError, match="same number of coordinates"):
        MixtureModes(means, 1.0)


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_a_spread_that_is_not_positive_is_refused(std):
    with pytest.raises(UserError, match="std > 0"):
        MixtureModes(CORNERS, std)


def test_no_points_are_refused():
    with pytest.raises(UserError, match="n_generated >= 1"):
        measured(NO_POINTS.values)
