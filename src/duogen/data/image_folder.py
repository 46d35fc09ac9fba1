"""A user's own images: any folder of PNG, JPEG, WebP, BMP or GIF files."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import PIL
import torch

from duogen.data.examples import ExamplesData
from duogen.data.folder import cache_folder
from duogen.data.pixels import PixelFile
from duogen.data.splits import Split
from duogen.data.transforms import Transform
from duogen.data.tree import ImageFile, checksum_of, class_names, cuts, encoded, image_files, printable
from duogen.errors import UserError

RULE = 2  # of decode.py; a change of what it returns is a new number


class ImageFolder(ExamplesData):
    """Images (C, H, W) of a folder, C = 1 grey or 3 colours, stored as uint8, in batches in [-1, 1].

    The sub-folders of the root are the classes; without sub-folders there are no labels. Each image goes to the split
    that a hash of its path below the root says, so that files added later leave the others where they are. Each is
    decoded once, as `duogen.data.decode` states, into a file in the data folder's cache.

    Args:
        root: the folder; a relative path is relative to the working directory.
        sha256: of the files' names and contents, or None; filled in by `facts`.
        background: the colour (R, G, B), each 0 to 255, behind what is transparent.
        validate_share: of the images for validation, in (0, 1).
        test_share: of the images for testing, in (0, 1).
        skip_corrupt: whether files that cannot be read are left out; otherwise they are refused.
        memory_limit_gb: up to how many 10^9 bytes the images are held in memory; more are read from the cache.
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
        root: str | None,
        sha256: str | None,
        background: Sequence[int],
        validate_share: float,
        test_share: float,
        skip_corrupt: bool,
        memory_limit_gb: float,
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, transforms, evaluation_size)
        self.sha256, self.background = sha256, tuple(background)
        self.validate_share, self.test_share = validate_share, test_share
        self.skip_corrupt, self.memory_limit_gb = skip_corrupt, memory_limit_gb
        self.root = None if root is None else Path(root).expanduser().absolute()
        self._refuse_odd()

    @cached_property
    def files(self) -> list[ImageFile]:
        """All images of the folder, by their position in the splits."""
        if self.root is None:
            raise UserError("data.root=null", "a folder of images, its sub-folders the classes", "give data.root=PATH")
        return image_files(self.root)

    @property
    def resident(self) -> bool:
        return super().resident and not self.mapped

    @property
    def mapped(self) -> bool:
        """Whether the images stay on the disk, because they exceed the limit of memory."""
        return len(self.files) * prod(self.shape) > self.memory_limit_gb * 1e9

    def facts(self) -> Mapping[str, Any]:
        """The number of classes or None, the folder's sha256, and its absolute path."""
        classes = len(class_names(self.files)) or None
        return {"classes": classes, "sha256": self._verified(), "root": str(self.root)}

    def load(self) -> Mapping[str, Split]:
        kept = self._kept(self._pixels)
        if len(kept) < 3:
            raise UserError(f"data.root={self.root} holds {len(kept)} image(s)", "3 or more: one a split", "add images")
        values, labels = self._pixels.values(self.mapped), self._labels(kept)
        first, second = cuts([file.position for file in kept], self.test_share, self.validate_share)
        whole = Split(values, labels)
        return {
            "train": whole.part(second, len(kept)),
            "validate": whole.part(first, second),
            "test": whole.part(0, first),
        }

    @cached_property
    def _pixels(self) -> PixelFile:
        content = [self._verified(), list(self.shape), self.background, RULE, PIL.__version__]
        return PixelFile(cache_folder() / "images" / short(json.dumps(content)), self.shape)

    def _kept(self, pixels: PixelFile) -> list[ImageFile]:
        """The files whose images the cache holds, after those not held yet were decoded."""
        unreadable = pixels.unreadable()
        if unreadable is None:
            print(f"{self.root}: decoding {len(self.files):,} images into {pixels.bytes}", flush=True)
            with answered():
                unreadable = pixels.write(self.files, self.background)
        if unreadable and not self.skip_corrupt:
            listed = "\n".join(f"    {printable(f'{name}: {why}')}" for name, why in sorted(unreadable.items()))
            raise UserError(
                f"{len(unreadable)} of {len(self.files)} files in {self.root} cannot be read:\n{listed}",
                "whole PNG, JPEG, WebP, BMP or GIF files",
                "mend or remove them, or use data.skip_corrupt=true",
            )
        if unreadable and os.environ.get("RANK", "0") == "0":
            names = ", ".join(printable(name) for name in sorted(unreadable))
            print(f"{self.root}: left out, as they cannot be read: {names}", flush=True)
        return [file for file in self.files if file.name not in unreadable]

    def _labels(self, files: Sequence[ImageFile]) -> torch.Tensor | None:
        number = {name: index for index, name in enumerate(class_names(self.files))}
        return torch.tensor([number[file.group] for file in files if file.group is not None]) if number else None

    def _verified(self) -> str:
        """The folder's checksum, which must be the declared one, if any."""
        book = cache_folder() / "folders" / f"{short(str(self.root))}.json"
        with answered():
            found = checksum_of(self.files, book)
        if self.sha256 not in (None, found):
            raise UserError(
                f"data.root={self.root} has the sha256 {found}",
                f"the declared sha256 {self.sha256}",
                "give the folder as it was, or leave data.sha256 out for a new run",
            )
        return found

    def _refuse_odd(self) -> None:
        if len(self.shape) != 3 or self.shape[0] not in (1, 3) or min(self.shape) < 1:
            raise UserError(f"data.shape={list(self.shape)}", "[1, H, W] for grey, [3, H, W] for colour", "correct it")
        if len(self.background) != 3 or not all(0 <= level <= 255 for level in self.background):
            raise UserError(f"data.background={list(self.background)}", "[R, G, B], each 0 to 255", "[255, 255, 255]")
        shares = self.validate_share, self.test_share
        if min(shares) <= 0 or sum(shares) >= 1:
            raise UserError(
                f"data.validate_share={shares[0]} and data.test_share={shares[1]}",
                "both more than 0, together less than 1",
                "0.1 and 0.1 leave 0.8 for training",
            )


def short(text: str) -> str:
    """A file's name for any text."""
    return sha256(encoded(text)).hexdigest()[:32]


@contextmanager
def answered() -> Iterator[None]:
    """A disk that does not do its part is the user's to mend."""
    try:
        yield
    except OSError as error:
        remedy = "set DUOGEN_CACHE to a folder with room that you may write to"
        raise UserError(f"{error}", "readable images, and a data folder to write to", remedy) from error
