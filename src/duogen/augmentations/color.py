"""Random changes of an image's colours; each happens with a probability of its own."""

import math

from torch import Tensor

from duogen.augmentations.chance import by_chance, integers, normal, uniform


def recolored(images: Tensor, probability: float | Tensor) -> Tensor:
    """Brightness + 0.2 n, contrast x 2^(0.5 n), luma flip, hue turned by any angle, saturation x 2^n; n ~ N(0, 1).

    Luma is the mean m of an image's channels (N, C, H, W) at a pixel. One channel has luma alone, and only three have a
    hue: the angle of x - m about the grey axis.
    Source: Karras et al. 2020 (ADA), appendix B, "color transformations".
    """
    (brightness,) = by_chance(probability, normal(images, 0.2))
    (contrast,) = by_chance(probability, normal(images, 0.5))
    (flip,) = by_chance(probability, integers(images, 2))
    (angle,) = by_chance(probability, uniform(images, -math.pi, math.pi))
    (saturation,) = by_chance(probability, normal(images, 1.0))
    channels, luma = images.shape[1], 1 - 2 * flip
    chroma = saturation.exp2() if channels > 1 else saturation.new_ones(len(images))
    along = chroma * angle.cos() if channels == 3 else chroma
    # All changes share the grey axis, so that no matrices are needed; where nothing changes this is exactly x.
    result = _each(along) * images + _each(luma - along) * images.mean(1, keepdim=True)
    if channels == 3:
        result = result + _each(chroma * angle.sin()) * (images.roll(1, 1) - images.roll(-1, 1)) / math.sqrt(3)
    return _each(contrast.exp2()) * (result + _each(luma * brightness))


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]
