"""Values against values as pictures: groups of points with intervals, and lines."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from duogen.files import write_atomic
from duogen.report.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Dot:
    """One setting: the means over its seeds of two values, and what stands beside it."""

    x: Estimate
    y: Estimate
    label: str


def blank(x: str, y: str) -> "Axes":
    """Axes on a figure of 6.4 by 4.8 inches, with what they show and in which unit."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained").add_subplot(xlabel=x, ylabel=y)
    axes.grid(color="#ececec")
    axes.set_axisbelow(True)
    return axes


def dots(axes: "Axes", groups: Mapping[str, Sequence[Dot]], joined: bool) -> None:
    """Each group in a colour of its own, each dot with the 95 % intervals of its seeds; `joined` in their order."""
    for name, group in groups.items():
        axes.errorbar(
            [dot.x.mean for dot in group], [dot.y.mean for dot in group],
            xerr=[dot.x.half or 0.0 for dot in group], yerr=[dot.y.half or 0.0 for dot in group],
            marker="o", markersize=4, linestyle="-" if joined else "none", linewidth=1.2, elinewidth=0.6, label=name,
        )  # fmt: skip
        for dot in group:
            axes.annotate(dot.label, (dot.x.mean, dot.y.mean), fontsize=8, textcoords="offset points", xytext=(4, 4))
    if any(groups):
        axes.legend(fontsize=8)


def lines(axes: "Axes", curves: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Each curve through its points (x, y)."""
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), linewidth=1.2, label=name)
    if any(curves):
        axes.legend(fontsize=8)


def save(axes: "Axes", path: Path) -> None:
    """Writes the axes' figure as a PNG, whole or not at all; the same for the same values."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer, figure = io.BytesIO(), axes.get_figure(root=True)
    assert figure is not None
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    write_atomic(path, buffer.getvalue())
