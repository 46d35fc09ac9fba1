"""How alike generated images are to each other."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from duogen.errors import UserError
from duogen.metrics.gallery import FeatureMeasure
from duogen.metrics.pixels import Pixels
from duogen.metrics.side import Side
from duogen.records import Fact

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SIGMA = 1.5
STABILISERS = (0.01**2, 0.03**2)
BLOCK = 256


def gaussian(window: int) -> Tensor:
    """The window's weights (window,) in float64, of sum 1 and standard deviation 1.5 pixels."""
    places = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    weights = (-(places**2) / (2 * SIGMA**2)).exp()
    return weights / weights.sum()


def blurred(images: Tensor, weights: Tensor) -> Tensor:
    """Weighted means over the windows that fit in the images (N, C, H, W), each channel for itself."""
    channels = images.shape[1]
    rows, columns = weights.view(1, 1, -1, 1), weights.view(1, 1, 1, -1)
    for kernel in (rows, columns):
        images = F.conv2d(images, kernel.expand(channels, 1, -1, -1), groups=channels)
    return images


def structure(x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Means (N,) over windows and channels of l cs and of cs, for images (N, C, H, W) in [0, 1].

    l = (2 m_x m_y + c1) / (m_x^2 + m_y^2 + c1), cs = (2 s_xy + c2) / (s_x^2 + s_y^2 + c2).
    """
    (c1, c2), mean_x, mean_y = STABILISERS, blurred(x, weights), blurred(y, weights)
    variances = blurred(x * x, weights) - mean_x**2 + blurred(y * y, weights) - mean_y**2
    contrast = (2 * (blurred(x * y, weights) - mean_x * mean_y) + c2) / (variances + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * contrast).flatten(1).mean(1), contrast.flatten(1).mean(1)


def ms_ssim(x: Tensor, y: Tensor, scales: int, window: int) -> Tensor:
    """The multi-scale structural similarity (N,) of images (N, C, H, W) in [0, 1], in float64.

    prod_{s < S} cs_s^e_s x (l cs)_S^e_S over S scales, each half the size of the one before by 2x2 means, with the
    first S of the five exponents, divided by their sum; negative means count as 0. Wang et al. 2003, eq. 7.
    """
    x, y, weights = x.double(), y.double(), gaussian(window)
    exponents = torch.tensor(EXPONENTS[:scales], dtype=torch.float64)
    similarity = torch.ones(len(x), dtype=torch.float64)
    for scale, exponent in enumerate(exponents / exponents.sum(), start=1):
        whole, contrast = structure(x, y, weights)
        similarity = similarity * (whole if scale == scales else contrast).clamp(min=0) ** exponent
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return similarity


def pairs_of(labels: Tensor, count: int, seed: int) -> Tensor:
    """`count` pairs (P, 2) of row numbers, two different rows of one label each, the labels in turns.

    Labels with one row are left out; none where all have.
    """
    generator = torch.Generator().manual_seed(seed)
    groups = [rows for label in labels.unique() if len(rows := (labels == label).nonzero().flatten()) > 1]
    drawn = []
    for place, rows in enumerate(groups):
        share = len(range(place, count, len(groups)))
        first = torch.randint(len(rows), (share,), generator=generator)
        step = torch.randint(1, len(rows), (share,), generator=generator)
        drawn.append(torch.stack([rows[first], rows[(first + step) % len(rows)]], 1))
    return torch.cat([torch.zeros(0, 2, dtype=torch.int64), *drawn])


class MultiScaleSimilarity(FeatureMeasure):
    """The mean multi-scale structural similarity of random pairs of generated images: lower is more diverse.

    Value `ms_ssim`, in [0, 1]. Pairs are drawn within a class where the model is told classes, all classes in equal
    number, else from the whole set. Compare it with real against real, and at equal scales: 5 scales and a window of 11
    need sides of 176 pixels, smaller images take fewer.

    `shape`: (C, H, W); `scales`: 1 to 5, or null for as many as fit; `window`: the side of the Gaussian window of
    standard deviation 1.5 pixels, without padding; `pairs`: how many; `seed`: of their draw, from the images in an
    order of their content. Raises UserError for examples that are no images, where the window does not fit the last
    scale, and at `compute` without two images of one class. Odena et al. 2017, section 4.2; Wang et al. 2003.
    """

    name = "multi_scale_similarity"

    def __init__(self, shape: Sequence[int], scales: int | None, window: int, pairs: int, seed: int) -> None:
        if len(shape) != 3:
            raise UserError(
                f"{self.name} was given examples of shape {list(shape)}", "images (C, H, W)", "leave it out"
            )
        side = min(shape[1:])
        most = sum(side // 2**scale >= window for scale in range(len(EXPONENTS)))
        if window < 1 or pairs < 1 or most < 1 or not 1 <= (most if scales is None else scales) <= most:
            given = f"{self.name} was given scales={scales}, window={window}, pairs={pairs} for sides of {side}"
            raise UserError(given, f"1 to {most} scales, a window of 1 to {side}, 1 or more pairs", "use scales=null")
        super().__init__(Pixels(shape))
        self.size, self.scales, self.window, self.pairs, self.seed = tuple(shape), scales or most, window, pairs, seed
        self.facts = {"ms_ssim": Fact(unit="similarity", higher_is_better=False)}

    def values(self) -> dict[str, Tensor]:
        side = self.collected.generated
        labels = torch.zeros(side.count) if side.labels is None else side.labels
        order = side.ordered()
        chosen = order[pairs_of(labels[order], self.pairs, self.seed)]
        if not len(chosen):
            given = f"{self.name} was computed from {side.count} generated image(s), no two of one class"
            raise UserError(given, "two of one class", "evaluate on more examples")
        found = [self.similarity(side, *rows.unbind(1)) for rows in chosen.split(BLOCK)]
        return {"ms_ssim": torch.cat(found).mean()}

    def similarity(self, side: Side, first: Tensor, second: Tensor) -> Tensor:
        x, y = ((side.features[rows].unflatten(1, self.size) + 1) / 2 for rows in (first, second))
        return ms_ssim(x, y, self.scales, self.window)

    def protocol(self) -> dict[str, Any]:
        exponents = [round(value / sum(EXPONENTS[: self.scales]), 4) for value in EXPONENTS[: self.scales]]
        return super().protocol() | {
            "scales": self.scales,
            "exponents": exponents,
            "window": f"{self.window}x{self.window}, Gaussian of 1.5 pixels, no padding",
            "pairs": self.pairs,
            "pair_seed": self.seed,
            "estimator": "mean over random pairs, within classes where there are labels, float64",
        }
