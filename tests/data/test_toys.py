import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.datasets import make_moons

from duogen.data.toys import Checkerboard, SwissRoll, TwoMoons
from duogen.errors import UserError

STEMS = ["swiss_roll", "two_moons", "checkerboard"]
SIZES = {"train_size": 4000, "evaluation_size": 500}
COMMON = {"batch_size": 4, "workers": 0, "seed": 0, "points_seed": 0, **SIZES}


@pytest.mark.parametrize("stem", STEMS)
def test_sizes_and_shapes(built, stem):
    data = built(stem, **SIZES)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 4000, "validate": 500, "test": 500}
    assert next(data.stream(0)).values.shape == (256, 2)
    assert data.splits["train"].values.dtype == torch.float32


@pytest.mark.parametrize("stem", STEMS)
def test_points_are_fixed_and_splits_differ(built, stem):
    data = built(stem, **SIZES)
    assert built(stem, seed=8, **SIZES).checksum() == data.checksum()
    assert built(stem, points_seed=1, **SIZES).checksum() != data.checksum()
    train, validate, test = (data.splits[name].values[:500] for name in ("train", "validate", "test"))
    assert not {tuple(x) for x in train.tolist()} & {tuple(x) for x in validate.tolist()}
    assert not {tuple(x) for x in validate.tolist()} & {tuple(x) for x in test.tolist()}


@pytest.mark.parametrize("stem", STEMS)
def test_drawing_leaves_global_generators_alone(built, global_generators, stem):
    before = global_generators()
    built(stem, **SIZES).setup()
    assert global_generators() == before


@pytest.fixture
def bare():
    """The training points of a law without noise."""

    def draw(kind, classes, **settings):
        split = kind([2], classes, **(COMMON | settings)).splits["train"]
        return split.values.double().numpy(), split.labels

    return draw


def test_swiss_roll_is_a_spiral_whose_radius_is_the_angle(bare):
    points, labels = bare(SwissRoll, None, scale=0.5, std=0.0)
    radius = np.hypot(*points.T) / 0.5
    turned = np.arctan2(points[:, 1], points[:, 0])
    distance = (radius - turned + math.pi) % (2 * math.pi) - math.pi
    assert labels is None
    assert np.abs(distance).max() < 1e-5
    assert kstest(radius, "uniform", args=(1.5 * math.pi, 3 * math.pi)).pvalue > 1e-3


def test_swiss_roll_noise_is_its_standard_deviation(bare):
    noisy, _ = bare(SwissRoll, None, scale=0.5, std=0.2)
    clean, _ = bare(SwissRoll, None, scale=0.5, std=0.0)
    np.testing.assert_allclose(np.cov((noisy - clean).T), 0.04 * np.eye(2), atol=0.004)


def test_the_shipped_roll_is_scaled_as_in_wgan_gp(built):
    roll = built("swiss_roll")
    assert (roll.scale, roll.std) == pytest.approx((1 / 7.5, 0.25 / 7.5))


def test_moons_are_those_of_scikit_learn(bare):
    points, labels = bare(TwoMoons, 2, std=0.0)
    reference, moons = make_moons(2000, noise=0.0)
    for moon in (0, 1):
        arc, mine = reference[moons == moon], points[labels == moon]
        nearest = np.linalg.norm(mine[:, None] - arc, axis=2).min(1)
        assert nearest.max() < math.pi / 999 / 2 + 1e-6  # half the way between its points
        assert mine.min(0) == pytest.approx(arc.min(0), abs=0.01)
        assert mine.max(0) == pytest.approx(arc.max(0), abs=0.01)
    assert abs(int(labels.sum()) - 2000) < 5 * math.sqrt(1000)


def test_moons_are_even_along_the_arc(bare):
    points, labels = bare(TwoMoons, 2, std=0.0)
    angle = np.arccos(points[labels == 0][:, 0].clip(-1, 1))
    assert kstest(angle, "uniform", args=(0, math.pi)).pvalue > 1e-3


def test_moons_noise_is_its_standard_deviation(bare):
    noise = bare(TwoMoons, 2, std=0.3)[0] - bare(TwoMoons, 2, std=0.0)[0]
    np.testing.assert_allclose(np.cov(noise.T), 0.09 * np.eye(2), atol=0.009)


@pytest.mark.parametrize(("squares", "side"), [(4, 2.0), (2, 1.0), (6, 0.5)])
def test_checkerboard_fills_the_dark_squares_evenly(bare, squares, side):
    points, labels = bare(Checkerboard, squares**2 // 2, squares=squares, side=side)
    cells = points / side + squares / 2
    column, row = np.floor(cells).astype(int).T
    assert cells.min() >= 0
    assert cells.max() < squares
    assert ((row + column) % 2 == 0).all()
    np.testing.assert_array_equal(labels, row * squares // 2 + column // 2)
    counts, expected = np.bincount(labels, minlength=squares**2 // 2), 4000 / (squares**2 // 2)
    assert np.abs(counts - expected).max() < 5 * math.sqrt(expected)
    for offset in (cells % 1).T:
        assert kstest(offset, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("squares", [0, 3, -2])
def test_odd_boards_are_refused(squares):
    with pytest.raises(UserError, match=f"data.squares={squares}"):
        Checkerboard([2], 8, squares=squares, side=1.0, **COMMON)


def test_shipped_classes_are_those_of_the_labels(built):
    for stem, classes in (("two_moons", 2), ("checkerboard", 8)):
        data = built(stem, **SIZES)
        assert data.splits["train"].labels.unique().tolist() == list(range(classes))
        assert data.classes == classes
