"""What a batch of values looks like: a grid of images, a scatter of points, or a heat map of vectors."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from duogen.errors import UserError
from duogen.files import write_atomic
from duogen.records import Examples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, GAP, WIDE = 48, 2, 8
LINE = (208, 208, 208)
BAD = (255, 0, 255)
INK, LETTERS = (48, 48, 48), 14
MOST_CLASSES = 16


@dataclass(frozen=True)
class Layout:
    """Rows of `columns` values each; `names`, if any, stand before the rows; a wide gap follows the first `lead`."""

    columns: int
    names: Sequence[str] = ()
    lead: int = 0


def by_class(examples: Examples) -> Layout | None:
    """Columns of one class each for images whose labels run through up to 16 classes again and again; else no layout.

    There are as many columns for every class as make the picture nearly square.
    """
    labels = examples.labels
    if labels is None or examples.values.ndim != 4:
        return None
    classes = int(labels.max()) + 1
    if not 1 < classes <= min(MOST_CLASSES, len(labels) // 2):
        return None
    return Layout(classes * max(1, round(_square(*examples.values.shape) / classes)))


def picture(values: Tensor, reference: Tensor | None = None, layout: Layout | None = None) -> Image.Image:
    """Values as one RGB picture, the same for the same input.

    Images (N, C, H, W) in [-1, 1], C = 1 or 3, become a grid, nearly square unless there is a layout; points (N, 2) a
    scatter over `reference` (M, 2), which also fixes the axes, where each row of a layout is a line; other vectors
    (N, D) a heat map with one row per example, whose colours span the range of `reference` (M, D). Values outside the
    range are clipped to it, points among them marked in magenta like every NaN; points that are NaN are counted in the
    title.
    Raises UserError on any other shape, and where there are no values.
    """
    array = _array(values)
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.size:
        return _grid(array, layout)
    if array.ndim == 2 and array.size:
        span = array if reference is None else _array(reference)
        shown = reference is not None
        return _scatter(array, span, shown, layout) if array.shape[1] == 2 else _heat_map(array, span)
    raise UserError(
        f"a picture was asked of values of shape {array.shape}",
        "images (N, 1, H, W) or (N, 3, H, W), or vectors (N, D), with N >= 1",
        "choose other examples to show, or leave the samples out",
    )


def save_atomic(image: Image.Image, path: Path) -> None:
    """Write a PNG that is there whole or not at all; parent folders are made."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_atomic(path, buffer.getvalue())


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()


def _grid(images: np.ndarray, layout: Layout | None) -> Image.Image:
    count, _, height, width = images.shape
    laid = layout or Layout(min(count, ceil(_square(*images.shape))))
    rows, scale = ceil(count / laid.columns), ceil(CELL / sqrt(height * width))
    cells = _pixels(images).repeat(scale, axis=1).repeat(scale, axis=2)
    down, across, margin = height * scale + GAP, width * scale + GAP, _margin(laid.names)
    wide = (margin + laid.columns * across + GAP + (WIDE if laid.lead else 0), rows * down + GAP)
    canvas = np.full((wide[1], wide[0], 3), LINE, dtype=np.uint8)
    for index, cell in enumerate(cells):
        row, column = divmod(index, laid.columns)
        top, left = row * down + GAP, margin + column * across + GAP + (WIDE if 0 < laid.lead <= column else 0)
        canvas[top : top + down - GAP, left : left + across - GAP] = cell
    return _named(Image.fromarray(canvas), laid.names, margin, down)


def _square(count: int, _: int, height: int, width: int) -> float:
    """In how many columns so many images are as wide as high."""
    return sqrt(count * height / width)


def _margin(names: Sequence[str]) -> int:
    """Pixels that the longest name takes, with room on both sides."""
    font = ImageFont.load_default(LETTERS)
    return ceil(max(font.getlength(name) for name in names)) + 2 * GAP if names else 0


def _named(image: Image.Image, names: Sequence[str], margin: int, down: int) -> Image.Image:
    """Each name in the margin before its row of `down` pixels."""
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(LETTERS)
    for row, name in enumerate(names):
        draw.text((margin - GAP, row * down + GAP + down // 2), name, INK, font, anchor="rm")
    return image


def _pixels(images: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] as bytes (N, H, W, 3)."""
    bad = np.isnan(images).any(axis=1)
    levels = np.rint((np.nan_to_num(images, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1, 1) + 1) * 127.5)
    colours = np.broadcast_to(levels, (len(images), 3, *images.shape[2:])).transpose(0, 2, 3, 1).astype(np.uint8)
    colours[bad] = BAD
    return colours


def _scatter(points: np.ndarray, span: np.ndarray, shown: bool, layout: Layout | None) -> Image.Image:
    from matplotlib.figure import Figure

    centre, reach = _frame(span)
    lost = np.isnan(points).any(axis=1)
    inside = (np.abs(points - centre) <= reach).all(axis=1)
    edge = points[~inside & ~lost].clip(centre - reach, centre + reach)
    figure = Figure(figsize=(5.4, 5.4), dpi=100)
    axes = figure.add_axes((0.11, 0.07, 0.86, 0.86))
    axes.set(aspect="equal", xlim=_ends(centre[0], reach), ylim=_ends(centre[1], reach))
    if shown:
        axes.scatter(*span.T, s=22, color="#d4d4d4", linewidths=0)
    for line in _lines(points, layout):
        axes.plot(*line.T, color="#1f5fa8", linewidth=0.8, alpha=0.6)
    axes.scatter(*points[inside].T, s=7, color="#1f5fa8", alpha=0.6, linewidths=0)
    axes.scatter(*edge.T, s=30, color="magenta", marker="x", clip_on=False, zorder=3)
    axes.set_title(_census(len(points), len(edge), int(lost.sum())), fontsize=9, loc="left")
    return _rendered(figure)


def _lines(points: np.ndarray, layout: Layout | None) -> Iterator[np.ndarray]:
    if layout is not None:
        for start in range(0, len(points), layout.columns):
            yield points[start : start + layout.columns]


def _frame(span: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (2,) and half width of a square that holds the finite points of `span` (M, 2) with a margin."""
    finite = span[np.isfinite(span).all(axis=1)]
    if not len(finite):
        return np.zeros(2), 1.0
    low, high = finite.min(axis=0), finite.max(axis=0)
    return (low + high) / 2, float((high - low).max()) * 0.575 or 1.0


def _ends(middle: float, reach: float) -> tuple[float, float]:
    return middle - reach, middle + reach


def _census(count: int, outside: int, lost: int) -> str:
    remarks = [(count, "points"), (outside, "outside"), (lost, "NaN")]
    return ", ".join(f"{number:,} {remark}" for number, remark in remarks if number)


def _heat_map(vectors: np.ndarray, span: np.ndarray) -> Image.Image:
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    reach = float(np.abs(span[np.isfinite(span)]).max(initial=0.0)) or 1.0
    figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlabel="dimension", ylabel="example")
    colours = colormaps["RdBu_r"].with_extremes(bad="magenta")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    drawn = axes.imshow(
        vectors.clip(-reach, reach), cmap=colours, vmin=-reach, vmax=reach, aspect="auto", interpolation="nearest"
    )
    figure.colorbar(drawn, ax=axes)
    return _rendered(figure)


def _rendered(figure: "Figure") -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
