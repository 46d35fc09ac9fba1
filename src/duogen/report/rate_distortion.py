"""What the codes of settings cost, and what they leave unexplained."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from duogen.report.charts import Dot, blank, dots

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rate_distortion(curves: Mapping[str, Sequence[Dot]]) -> "Axes":
    """The plane of rate, KL(q(z | x) || p(z)), and distortion, -E_q log p(x | z), in nats.

    One curve for each name through its settings in their order; on a dashed line the ELBO, -(rate + distortion), is
    everywhere the same. Source: Alemi et al. 2018, figure 1.
    """
    axes = blank("rate, nats", "distortion, nats")
    dots(axes, curves, joined=True)
    equal_bounds(axes)
    return axes


def equal_bounds(axes: "Axes") -> None:
    """Lines of equal rate + distortion across what the axes show, each with its ELBO where it enters."""
    from matplotlib.ticker import MaxNLocator

    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for level in MaxNLocator(8).tick_values(left + bottom, right + top):
        begin, end = max(left, level - top), min(right, level - bottom)
        if begin < end:
            axes.plot([begin, end], [level - begin, level - end], "--", color="#9a9a9a", linewidth=0.7, zorder=1)
            axes.annotate(
                f"ELBO {-level:g}", (begin, level - begin), fontsize=7, color="#6f6f6f", va="top",
                textcoords="offset points", xytext=(3, -3),
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
    axes.set(xlim=(left, right), ylim=(bottom, top))
