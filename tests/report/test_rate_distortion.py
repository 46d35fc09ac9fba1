import numpy as np
import pytest

from duogen.report.charts import Dot
from duogen.report.rate_distortion import rate_distortion
from duogen.report.statistics import Estimate


def dot(rate, distortion, label):
    return Dot(Estimate(1, rate, None), Estimate(1, distortion, None), label)


@pytest.mark.parametrize("scale", [1, 40])
def test_lines_of_equal_elbo_say_which_and_lie_within_the_axes(scale):
    axes = rate_distortion({"a": [dot(2, 90 * scale, "1"), dot(20, 70, "4")], "b": [dot(11, 80, "2")]})
    bounds = [line for line in axes.lines if line.get_linestyle() == "--"]
    told = [text.get_text() for text in axes.texts if text.get_text().startswith("ELBO")]
    assert 3 <= len(bounds) == len(told) <= 12
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for line, text in zip(bounds, told, strict=True):
        x, y = line.get_xydata().T
        assert np.allclose(x + y, -float(text.removeprefix("ELBO ")))
        assert left - 1e-9 <= x[0] < x[1] <= right + 1e-9
        assert (y >= bottom - 1e-6).all()
        assert (y <= top + 1e-6).all()
    assert left < 2 < 20 < right


def test_a_curve_goes_through_its_settings_in_their_order():
    axes = rate_distortion({"a": [dot(20, 70, "4"), dot(2, 90, "1"), dot(11, 80, "2")]})
    assert axes.containers[0].lines[0].get_xydata().tolist() == [[20, 70], [2, 90], [11, 80]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rate, nats", "distortion, nats")
