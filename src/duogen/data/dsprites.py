"""dSprites from its authors' archive, of which only plain arrays are read."""

import io
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from typing import IO
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from duogen.data.compact import Bits, CompactSplit, bits
from duogen.data.declared import DeclaredFiles
from duogen.data.factors import FactorGrid
from duogen.data.splits import Split
from duogen.data.transforms import Transform
from duogen.errors import UserError

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
CHUNK = 4096
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Dsprites(FactorGrid):
    """737,280 black and white images (1, 64, 64) of 3 shapes x 6 scales x 40 orientations x 32 x 32 positions.

    They are kept as bits, 377 MB, and made bytes, 0 and 255, batch by batch. The archive's member `metadata` is a
    pickle, and never opened. Its authors publish no sha256: the archive's own CRC-32 of each member, the images' two
    values and the grid of factors are checked instead.

    Args:
        factors: how many values each factor takes, by name; those of the file.
        validate_size: images of the validation split.
        test_size: images of the test split.
        split_seed: of both choices.
        folder: of the archive, below the data folder.
        files: public `url` of the archive by its name, and its `sha256`, or None.

    References: Matthey, Higgins, Hassabis & Lerchner 2017; Higgins et al. 2017 (beta-VAE), section 4.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        transforms: Sequence[Transform],
        evaluation_size: int | None,
        factors: Mapping[str, int],
        validate_size: int,
        test_size: int,
        split_seed: int,
        folder: str,
        files: Mapping[str, Mapping[str, str | None]],
    ) -> None:
        super().__init__(
            shape,
            classes,
            batch_size,
            workers,
            seed,
            transforms,
            evaluation_size,
            factors,
            validate_size,
            test_size,
            split_seed,
        )
        self.declared = DeclaredFiles(folder, files)

    def grid(self) -> Split:
        classes, codes, sides = contents(self.declared.read(FILE), self.declared.remedy)
        sizes = tuple(self.factors.values())
        grid = np.stack(np.unravel_index(np.arange(self.label_count), sizes), 1)
        # The first of the six is the colour, which is always white.
        if not np.array_equal(classes[:, 1:], grid):
            found = ", ".join(str(size) for size in classes[:, 1:].max(0) + 1)
            raise UserError(f"data.factors={self.factors}", f"the sizes {found}, as {FILE} has them", "correct them")
        return CompactSplit(codes, torch.arange(len(codes)), Bits((1, *sides)))


def contents(archive: bytes, remedy: str) -> tuple[np.ndarray, Tensor, tuple[int, int]]:
    """The factors' values (N, F), the images as bits (N, ceil(HW / 8)) and their sides (H, W).

    Raises:
        UserError: no whole archive, or another one; the pickles in it were not opened.
    """
    try:
        with ZipFile(io.BytesIO(archive)) as opened:
            with opened.open("latents_classes.npy") as file:
                classes = npy.read_array(file, allow_pickle=False)
            if classes.ndim != 2 or len(classes) < 1:
                raise ValueError(f"latents_classes has the shape {classes.shape}")
            with opened.open("imgs.npy") as file:
                sides = header(file, len(classes))
                return classes, packed(file, len(classes), sides), sides
    except (BadZipFile, LookupError, OSError, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        allowed = "the authors' archive: imgs (N, H, W) of 0 and 1 as bytes, latents_classes (N, 6)"
        raise UserError(f"{FILE} cannot be used: {error}", allowed, f"delete it; {remedy}") from error


def header(file: IO[bytes], count: int) -> tuple[int, int]:
    """The sides of `count` images, from the beginning of an npy file; ValueError where it holds anything else."""
    shape, columns_first, dtype = HEADERS[npy.read_magic(file)](file)
    if dtype != np.uint8 or columns_first or len(shape) != 3 or shape[0] != count:
        raise ValueError(f"imgs is an array {shape} of {dtype}, where {count} images of bytes belong")
    return shape[1], shape[2]


def packed(file: IO[bytes], count: int, sides: tuple[int, int]) -> Tensor:
    """The next `count` images as bits (count, ceil(HW / 8)), never more than a few of them in memory as bytes."""
    size = prod(sides)
    codes = np.empty((count, -(-size // 8)), np.uint8)
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        images = np.frombuffer(file.read((stop - start) * size), np.uint8).reshape(stop - start, size)
        if images.max() > 1:
            raise ValueError(f"imgs holds the value {images.max()}")
        codes[start:stop] = bits(images)
    if file.read(1):  # the read that meets the end is the one that checks the CRC
        raise ValueError("imgs holds more values than it declares")
    return torch.from_numpy(codes)
