"""An image file as bytes of a fixed shape, by stated rules."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")
ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


class UnreadableError(Exception):
    """A file that cannot be read as an image, and why."""


def decoded(path: Path, shape: Sequence[int], background: Sequence[int]) -> np.ndarray:
    """The image of a file as uint8 (C, H, W), C = 1 (grey, the luma of ITU-R BT.601) or 3 (RGB).

    In this order: the first picture of an animation; turned upright as its EXIF data say; 16 bits to 8 as v / 257;
    palette to colours; what is transparent over the colour `background` (R, G, B), each 0 to 255; the largest centred
    part with the proportions H:W, resized to HxW by Pillow's Lanczos filter, which widens as it reduces.

    Raises:
        UnreadableError: the file is no whole image of a known format.
    """
    channels, height, width = shape
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            flat = opaque(ImageOps.exif_transpose(image), background)
        fitted = cropped(flat.convert("L" if channels == 1 else "RGB"), height, width)
    except Exception as error:
        # A damaged file may make a decoder fail in any way at all.
        raise UnreadableError(str(error) or type(error).__name__) from error
    return np.asarray(fitted).reshape(height, width, channels).transpose(2, 0, 1)


def opaque(image: Image.Image, background: Sequence[int]) -> Image.Image:
    """The image with 8 bits per channel and without transparency."""
    if image.mode in DEEP:
        levels = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((levels * 2 + 257) // 514).astype(np.uint8))
    if image.mode in ALPHA or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, (*background, 255)), over).convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")


def cropped(image: Image.Image, height: int, width: int) -> Image.Image:
    """The largest centred part with the proportions height:width, resized to them; an image of that size as it is."""
    if image.size == (width, height):
        return image
    scale = min(image.width / width, image.height / height)
    # width * (image.width / width) may round to more than image.width, beyond which Pillow refuses to read.
    across, down = min(width * scale, image.width), min(height * scale, image.height)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    return image.resize((width, height), Image.Resampling.LANCZOS, box=(left, top, left + across, top + down))
