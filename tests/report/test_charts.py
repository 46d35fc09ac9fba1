import numpy as np
import pytest
from PIL import Image

from duogen.report.charts import Dot, blank, dots, lines, save
from duogen.report.statistics import Estimate

GROUPS = {
    "a": [
        Dot(Estimate(3, 1.0, 0.2), Estimate(3, 5.0, None), "low"),
        Dot(Estimate(3, 2.0, 0.5), Estimate(3, 4.0, 0.3), "high"),
    ],
    "b": [Dot(Estimate(1, 3.0, None), Estimate(1, 7.0, None), "one")],
}


@pytest.mark.parametrize("joined", [True, False])
def test_dots_stand_at_their_means_with_their_labels(joined):
    axes = blank("rate", "distortion")
    dots(axes, GROUPS, joined)
    first, second = axes.containers
    assert first.lines[0].get_xydata().tolist() == [[1, 5], [2, 4]]
    assert second.lines[0].get_xydata().tolist() == [[3, 7]]
    assert (first.lines[0].get_linestyle() == "-") == joined
    across, up = first.lines[2]
    assert np.allclose([s[:, 0] for s in across.get_segments()], [[0.8, 1.2], [1.5, 2.5]])
    assert np.allclose([s[:, 1] for s in up.get_segments()], [[5, 5], [3.7, 4.3]])
    assert [text.get_text() for text in axes.texts] == ["low", "high", "one"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rate", "distortion")


def test_lines_go_through_their_points():
    axes = blank("step", "value")
    lines(axes, {"one": [(1, 5.0), (10, 3.0)]})
    assert axes.lines[0].get_xydata().tolist() == [[1, 5], [10, 3]]


def test_a_name_may_be_empty():
    axes = blank("step", "value")
    dots(axes, {}, joined=True)
    assert axes.get_legend() is None


def test_a_picture_is_written_whole_and_the_same_each_time(tmp_path):
    for name in ("first.png", "second.png"):
        axes = blank("x", "y")
        dots(axes, GROUPS, joined=True)
        save(axes, tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as image:
        assert image.size == (640, 480)
        assert len(image.convert("RGB").getcolors(10**6)) > 10
