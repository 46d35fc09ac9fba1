"""Decoded images kept as raw bytes in one file, so that each is decoded once."""

import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from duogen.data.decode import UnreadableError, decoded
from duogen.data.tree import ImageFile
from duogen.files import write_atomic

CHUNK = 512


@dataclass(frozen=True)
class PixelFile:
    """`<stem>.bin` holds images (N, *shape) as bytes, `<stem>.json` those that could not be read, and why, by name.

    The list is written last: without it the file counts as not there.
    """

    stem: Path
    shape: tuple[int, ...]

    def unreadable(self) -> dict[str, str] | None:
        """Why files are missing from the images, by name; None where the file is not there or not whole."""
        try:
            content = json.loads(self.listed.read_bytes())
            whole = self.bytes.stat().st_size == content["count"] * math.prod(self.shape)
            return content["unreadable"] if whole else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def write(self, files: Sequence[ImageFile], background: Sequence[int]) -> dict[str, str]:
        """Decodes the files in order, on all cores; returns why some could not be read, by name."""
        self.stem.parent.mkdir(parents=True, exist_ok=True)
        part = self.stem.with_name(f".{self.stem.name}.{os.getpid()}")
        try:
            unreadable = self._decode(files, background, part)
            part.replace(self.bytes)
        finally:
            part.unlink(missing_ok=True)
        content = {"count": len(files) - len(unreadable), "unreadable": unreadable}
        write_atomic(self.listed, json.dumps(content).encode())
        return unreadable

    def values(self, mapped: bool) -> Tensor:
        """The images (N, *shape) as uint8: in memory, or `mapped`, so that the system reads what is asked for."""
        if mapped:
            size = self.bytes.stat().st_size
            flat = torch.from_file(str(self.bytes), shared=False, size=size, dtype=torch.uint8)
        else:
            flat = torch.from_numpy(np.fromfile(self.bytes, np.uint8))
        return flat.view(-1, *self.shape)

    def _decode(self, files: Sequence[ImageFile], background: Sequence[int], part: Path) -> dict[str, str]:
        read = partial(_read, shape=self.shape, background=background)
        unreadable: dict[str, str] = {}
        with part.open("wb") as target, ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(files), CHUNK):
                chunk = files[start : start + CHUNK]
                for file, found in zip(chunk, pool.map(read, chunk), strict=True):
                    if isinstance(found, str):
                        unreadable[file.name] = found
                    else:
                        target.write(found)
            target.flush()
            os.fsync(target.fileno())
        return unreadable

    @property
    def bytes(self) -> Path:
        return self.stem.with_suffix(".bin")

    @property
    def listed(self) -> Path:
        return self.stem.with_suffix(".json")


def _read(file: ImageFile, shape: Sequence[int], background: Sequence[int]) -> Any:
    """The bytes of an image, or as text why it cannot be read."""
    try:
        return decoded(file.path, shape, background).tobytes()
    except UnreadableError as error:
        return str(error)
