from itertools import islice
from math import cos, pi, sin

import numpy as np
import pytest
import torch

from duogen.data.shapes2d import FACTORS, SHAPES, begins, drawn
from duogen.errors import UserError

SMALL = {"shape": 3, "scale": 2, "orientation": 8, "position_x": 3, "position_y": 5}


@pytest.fixture
def small(built):
    """A grid of 3 x 2 x 8 x 3 x 5 images (1, 24, 20)."""

    def build(sizes=SMALL, **overrides):
        given = {"shape": [1, 24, 20], "batch_size": 6, "validate_size": 11, "test_size": 13, "factors": sizes}
        return built("shapes2d", **(given | overrides))

    return build


def whole(data):
    """All images (*sizes, H, W) of the grid, as 0 and 1."""
    train = data.splits["train"]
    return train.rows(torch.arange(len(train))).values.squeeze(1).view(*data.factors.values(), *data.shape[1:]) // 255


def white(shape, x, y):
    """Whether a point is inside, by the definitions in plain numbers."""
    if shape == 0:
        return abs(x) <= 0.7 and abs(y) <= 0.7
    if shape == 1:
        return x * x / 0.9409 + y * y / 0.2809 <= 1
    a, b = 1.4 * x, 1.4 * y + 0.15
    return (a * a + b * b - 1) ** 3 - a * a * b**3 <= 0


@pytest.mark.parametrize("label", [0, 1, 100, 239, 240, 307, 479, 555, 719])
def test_an_image_is_what_its_factors_say(small, label):
    shape, scale, turn, across, down = np.unravel_index(label, tuple(SMALL.values()))
    expected, size, angle = np.zeros((24, 20)), (0.5, 1.0)[scale], 2 * pi * turn / 8
    left, top = (0, 5, 10)[across], (1, 4, 7, 10, 13)[down]  # a square of 10 in 20 columns and in 24 rows
    for row in range(10):
        for column in range(10):
            x, y = (column - 4.5) / 5, (4.5 - row) / 5
            u, v = x * cos(angle) + y * sin(angle), y * cos(angle) - x * sin(angle)
            expected[top + row, left + column] = white(shape, u / size, v / size)
    np.testing.assert_array_equal(whole(small()).flatten(0, 4)[label], expected)


def test_shapes_lie_within_the_unit_circle():
    line = torch.linspace(-1.5, 1.5, 301, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    for shape in SHAPES:
        inside = shape(x, y)
        assert inside[150, 150]
        assert (x.square() + y.square())[inside].max() <= 1
        assert 1.5 < inside.sum() * 1e-4 < 2


def test_a_larger_scale_holds_more_and_all_sprites_have_room():
    area = drawn(3, 6, 40, 32).view(3, 6, 40, -1).ne(0).double().mean(3)
    assert (area.diff(dim=1) > 0).all()
    wide = drawn(3, 1, 40, 32)
    assert torch.equal(drawn(3, 6, 40, 32).view(3, 6, 40, 32, 32)[:, 5].flatten(0, 1), wide)


def test_a_quarter_turn_is_one_of_the_pixels():
    sprites = drawn(3, 6, 40, 32).view(3, 6, 40, 32, 32)
    assert torch.equal(sprites.roll(-10, 2), sprites.rot90(1, (3, 4)))


def test_turned_shapes_differ_but_for_their_symmetry():
    sprites = drawn(3, 6, 40, 32).view(3, 6, 40, 1024)
    kinds = [[len(one.unique(dim=0)) for one in shape] for shape in sprites]
    assert kinds == [[10] * 6, [20] * 6, [40] * 6]


def test_the_heart_is_upright_and_its_notch_above():
    heart = drawn(3, 1, 1, 32)[2].ne(0)
    assert torch.equal(heart, heart.flip(1))
    rows = heart.any(1).nonzero()
    assert not heart[rows[0], 15].item()
    assert heart[rows[-1], 15].item()


@pytest.mark.parametrize(
    ("count", "side", "width", "expected"),
    [
        (32, 64, 32, list(range(32))),
        (16, 64, 32, list(range(1, 32, 2))),
        (3, 20, 10, [0, 5, 10]),
        (4, 20, 10, [0, 3, 6, 9]),
        (1, 20, 10, [5]),
        (11, 20, 10, list(range(11))),
    ],
)
def test_places_are_even_and_centred(count, side, width, expected):
    assert begins(count, side, width).tolist() == expected


def test_positions_move_the_same_pixels(small):
    images = whole(small())
    for x, left in enumerate((0, 5, 10)):
        for y, top in enumerate((1, 4, 7, 10, 13)):
            moved = images[:, :, :, 0, 0].roll((top - 1, left), (3, 4))
            assert torch.equal(images[:, :, :, x, y], moved)


def test_the_label_is_the_place_in_the_grid(small):
    data = small()
    images = whole(data).flatten(0, 4)
    for split in data.splits.values():
        rows = split.rows(torch.arange(len(split)))
        assert torch.equal(rows.values.squeeze(1) // 255, images[rows.labels])


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_black_and_white_and_resume(small, workers):
    stream = small(workers=workers).stream(4)
    later = list(islice(stream, 3))
    stream.close()
    for batch, again in zip(later, islice(small().stream(0), 4, 7), strict=True):
        assert batch.values.shape == (6, 1, 24, 20)
        assert batch.values.unique().tolist() == [-1, 1]
        assert torch.equal(batch.values, again.values)
        assert torch.equal(batch.labels, again.labels)


def test_the_shipped_grid_stays_what_it_was(built):
    data = built("shapes2d")
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 737_280,
        "validate": 1000,
        "test": 15_000,
    }
    assert tuple(data.factors) == FACTORS
    assert data.factors == built("dsprites").factors
    assert data.checksum() == "68fce25d2b76d36dcd488e32e7ad5ff2feaa818dfb32b4c428cf3b894e155fca"


def test_the_shipped_grid_shows_each_value_of_each_factor_equally_often(built):
    values = np.unravel_index(built("shapes2d").splits["test"].labels.numpy(), (3, 6, 40, 32, 32))
    for found, size in zip(values, (3, 6, 40, 32, 32), strict=True):
        counts = np.bincount(found, minlength=size)
        assert np.abs(counts - 15_000 / size).max() < 5 * np.sqrt(15_000 / size)


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ({"shape": [3, 24, 20]}, "data.shape=[3, 24, 20]"),
        ({"shape": [24]}, "data.shape=[24]"),
        ({"shape": [1, 7, 20]}, "data.shape=[1, 7, 20]"),
        ({"sizes": SMALL | {"shape": 4}}, "data.factors.shape=4"),
        ({"sizes": SMALL | {"position_x": 12}}, "data.factors.position_x=12"),
        ({"sizes": SMALL | {"position_y": 16}}, "data.factors.position_y=16"),
        ({"sizes": SMALL | {"colour": 2}}, "colour"),
    ],
)
def test_grids_that_cannot_be_drawn_are_refused(small, wrong, given):
    with pytest.raises(UserError) as refusal:
        small(**wrong)
    assert given in refusal.value.given
