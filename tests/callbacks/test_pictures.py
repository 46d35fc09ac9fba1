import io
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from duogen.callbacks.pictures import BAD, LINE, WIDE, Layout, by_class, picture, save_atomic
from duogen.errors import UserError
from duogen.records import Examples


def pixels(values, reference=None) -> np.ndarray:
    return np.asarray(picture(values, reference))


def png(values, reference=None) -> bytes:
    file = io.BytesIO()
    picture(values, reference).save(file, format="PNG")
    return file.getvalue()


def coloured(image, colour) -> int:
    return int((image == colour).all(axis=-1).sum())


@pytest.mark.parametrize(
    ("shape", "rows", "columns", "height", "width"),
    [
        ((64, 1, 8, 8), 8, 8, 48, 48),
        ((12, 3, 28, 28), 3, 4, 56, 56),
        ((10, 1, 64, 64), 3, 4, 64, 64),
        ((1, 3, 5, 5), 1, 1, 50, 50),
        ((10, 1, 8, 32), 5, 2, 24, 96),
        ((3, 1, 40, 120), 3, 1, 40, 120),
    ],
)
def test_images_fill_a_grid_that_is_nearly_square(shape, rows, columns, height, width):
    assert pixels(torch.zeros(shape)).shape == (rows * (height + 2) + 2, columns * (width + 2) + 2, 3)


def test_grey_images_lie_row_by_row_with_light_gaps():
    image = pixels(torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 48, 48))
    assert [tuple(image[10, 10]), tuple(image[10, 60]), tuple(image[60, 10])] == [(0,) * 3, (128,) * 3, (255,) * 3]
    assert tuple(image[60, 60]) == LINE
    assert (image[:2] == LINE).all()
    assert (image[:, 50:52] == LINE).all()
    assert (image[-2:] == LINE).all()


def test_a_layout_gives_rows_of_so_many_columns_and_a_gap_after_the_leading_ones():
    values = torch.linspace(-1, 1, 6).reshape(6, 1, 1, 1).expand(6, 1, 48, 48)
    image = np.asarray(picture(values, None, Layout(3, lead=1)))
    assert image.shape == (2 * 50 + 2, 3 * 50 + 2 + WIDE, 3)
    levels = [0, 51, 102, 153, 204, 255]
    for index, level in enumerate(levels):
        row, column = divmod(index, 3)
        left = column * 50 + 2 + (WIDE if column else 0)
        assert (image[row * 50 + 2 : row * 50 + 50, left : left + 48] == level).all()
    assert (image[:, 50 : 52 + WIDE] == LINE).all()


def test_the_last_row_of_a_layout_may_be_shorter():
    image = np.asarray(picture(torch.ones(4, 1, 48, 48), None, Layout(3)))
    assert image.shape == (102, 152, 3)
    assert (image[52:, 52:] == LINE).all()


def test_names_stand_in_a_margin_before_their_rows():
    values = torch.zeros(6, 1, 48, 48)
    plain, named = (np.asarray(picture(values, None, Layout(2, names))) for names in ((), ("8", "", "12345")))
    margin = named.shape[1] - plain.shape[1]
    assert 20 < margin < 80
    assert (named[:, margin:] == plain).all()
    inked = [(named[top : top + 50, :margin] != LINE).any() for top in (0, 50, 100)]
    assert inked == [True, False, True]
    assert (named[:, : margin // 2] != LINE).any(axis=(1, 2)).nonzero()[0].min() > 100


@pytest.mark.parametrize(
    ("shape", "labels", "columns"),
    [
        ((20, 1, 8, 8), [0, 1, 2] * 6 + [0, 1], 3),
        ((64, 1, 8, 8), [*[0, 1, 2] * 21, 0], 9),
        ((64, 1, 8, 8), [0, 1] * 32, 8),
        ((64, 1, 4, 8), [0, 1] * 32, 6),
        ((64, 1, 8, 8), [*range(10)] * 6 + [0, 1, 2, 3], 10),
        ((20, 1, 8, 8), list(range(20)), None),
        ((40, 1, 8, 8), list(range(20)) * 2, None),
        ((20, 1, 8, 8), [0] * 20, None),
        ((20, 1, 8, 8), None, None),
        ((20, 2), [0, 1, 2, 3] * 5, None),
    ],
)
def test_images_of_few_classes_have_columns_of_one_class_each(shape, labels, columns):
    found = by_class(Examples(torch.zeros(shape), None if labels is None else torch.tensor(labels)))
    assert (None if found is None else found.columns) == columns


def test_channels_are_red_green_and_blue():
    image = pixels(torch.tensor([1.0, -1.0, 0.0]).reshape(1, 3, 1, 1))
    assert tuple(image[20, 20]) == (255, 0, 128)


def test_small_images_are_enlarged_without_blur():
    image = pixels(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]).reshape(1, 1, 2, 2))[2:-2, 2:-2, 0]
    assert image.shape == (48, 48)
    assert (image == np.kron([[0, 255], [255, 0]], np.ones((24, 24)))).all()


def test_values_out_of_range_are_clipped():
    out = torch.tensor([-7.0, 7.0, -math.inf, math.inf]).reshape(4, 1, 1, 1)
    assert (pixels(out) == pixels(out.clip(-1, 1))).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_nan_pixel_shows(channels):
    values = torch.zeros(2, channels, 8, 8)
    values[1, -1, 3, 4] = math.nan
    image = pixels(values)
    assert coloured(image, BAD) == 36
    assert tuple(image[2 + 3 * 6, 52 + 4 * 6]) == BAD


@pytest.mark.parametrize("shape", [(4, 2, 8, 8), (0, 1, 8, 8), (0, 5), (4,), (4, 8, 8), (2, 1, 3, 4, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(UserError, match="values of shape"):
        picture(torch.zeros(shape))


def test_points_lie_over_the_reference():
    reference = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
    alone, both = pixels(reference[:1]), pixels(reference[:1], reference)
    assert coloured(both, (212, 212, 212)) > coloured(alone, (212, 212, 212)) + 60
    assert not (pixels(reference[1:2], reference) == both).all()


def test_rows_of_points_are_lines():
    reference = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    points = torch.tensor([[-0.8, 0.5], [0.8, 0.5], [-0.8, -0.5], [0.8, -0.5]])
    dots, lines = pixels(points, reference), np.asarray(picture(points, reference, Layout(2)))
    changed = (dots != lines).any(axis=-1)
    rows = changed.any(axis=1).nonzero()[0]
    assert changed.sum(axis=1).max() > 150
    assert len(rows) < 20
    assert rows.max() - rows.min() > 100


def test_the_reference_fixes_the_axes():
    reference = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    frames = [pixels(torch.tensor([[x, 0.3]]), reference) for x in (-0.4, 0.9, 0.0)]
    differing = [(frames[0] != frame).any(axis=-1).sum() for frame in frames[1:]]
    assert all(0 < count < 150 for count in differing)


def test_points_outside_and_nan_points_show():
    reference = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    inside, outside = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0], [80.0, 0.0], [0.0, -math.inf]])
    lost = torch.tensor([[0.0, 0.0], [math.nan, 0.0]])
    assert coloured(pixels(inside, reference), BAD) == 0
    assert coloured(pixels(outside, reference), BAD) > 20
    assert not (pixels(lost, reference) == pixels(inside, reference)).all()


@pytest.mark.parametrize(
    "values",
    [torch.full((3, 2), math.nan), torch.zeros(4, 2), torch.full((3, 5), math.nan), torch.zeros(4, 5)],
    ids=["points of NaN", "equal points", "vectors of NaN", "equal vectors"],
)
def test_a_collapsed_or_broken_generator_still_makes_a_picture(values):
    assert pixels(values).shape[2] == 3


def test_vectors_make_one_row_each_in_the_colours_of_the_reference():
    low, middle, high = (pixels(torch.full((2, 5), value), torch.full((1, 5), 2.0))[150, 200] for value in (-2, 0, 2))
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert middle.min() > 240
    striped = pixels(torch.tensor([[-2.0] * 5, [2.0] * 5]))
    assert (striped[150, 200] == low).all()
    assert (striped[350, 200] == high).all()


def test_a_nan_in_a_vector_shows():
    values = torch.zeros(3, 4)
    values[1, 2] = math.nan
    assert coloured(pixels(values), BAD) > 1000


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (30, 2), (6, 7)])
def test_equal_values_give_equal_bytes(shape):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    first = png(values, values)
    assert png(values.clone(), values) == first
    assert png(-values, values) != first
    assert Image.open(io.BytesIO(first)).info == {}


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (30, 2), (6, 7)])
def test_values_on_the_graph_and_in_half_precision(shape):
    values = torch.zeros(shape, requires_grad=True)
    assert (pixels(values) == pixels(values.bfloat16())).all()


def test_save_writes_the_picture_into_new_folders(tmp_path):
    path, image = tmp_path / "samples" / "step-5.png", picture(torch.zeros(2, 1, 8, 8))
    save_atomic(picture(torch.ones(2, 1, 8, 8)), path)
    save_atomic(image, path)
    assert (np.asarray(Image.open(path)) == np.asarray(image)).all()
    assert [file.name for file in path.parent.iterdir()] == ["step-5.png"]


def test_a_failed_save_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "step-5.png"
    save_atomic(picture(torch.zeros(2, 1, 8, 8)), path)
    before = path.read_bytes()

    def broken(self, file, **options):
        file.write(b"half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        save_atomic(picture(torch.ones(2, 1, 8, 8)), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["step-5.png"]


def test_the_module_does_not_import_matplotlib_before_it_draws():
    script = "import sys, duogen.callbacks.pictures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
