"""A user's tree of image files: which files are images, their classes, their place in the splits, their checksum."""

import json
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from unicodedata import normalize

from duogen.data.checksum import sha256_of
from duogen.errors import UserError
from duogen.files import write_atomic

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


@dataclass(frozen=True)
class ImageFile:
    """An image's path, and its name below the root: with slashes, in Unicode's form C on every system."""

    path: Path
    name: str

    @cached_property
    def position(self) -> float:
        """A number in [0, 1), a function of the name alone that looks random."""
        return int.from_bytes(sha256(encoded(self.name)).digest()[:6], "big") / 2**48

    @property
    def group(self) -> str | None:
        """The sub-folder of the root that the file lies in, at whatever depth, or None in the root itself."""
        return self.name.partition("/")[0] if "/" in self.name else None


def image_files(root: Path) -> list[ImageFile]:
    """All images below `root`, by position; hidden files and folders and other suffixes are passed over.

    Raises:
        UserError: there is no such folder, no image in it, or images both in sub-folders and beside them.
    """
    if not root.is_dir():
        given = f"data.root={root} is {'a file' if root.exists() else 'not there'}"
        raise UserError(given, "a folder with images", "give data.root=PATH")
    found = [
        ImageFile(path, normalize("NFC", path.relative_to(root).as_posix()))
        for path in walked(root)
        if path.suffix.lower() in SUFFIXES
    ]
    if not found:
        raise UserError(f"data.root={root} holds no image", f"files that end in {', '.join(SUFFIXES)}", "add some")
    stray = sorted(file.name for file in found if file.group is None)
    if 0 < len(stray) < len(found):
        raise UserError(
            f"data.root={root} holds images beside its sub-folders: {', '.join(stray[:5])}",
            "all images in sub-folders, which are the classes, or none",
            "move them, or name a sub-folder as data.root",
        )
    return sorted(found, key=lambda file: (file.position, file.name))


def walked(root: Path) -> Iterator[Path]:
    """The files below `root` that are not hidden, through links, each folder once."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def class_names(files: Sequence[ImageFile]) -> list[str]:
    """The sub-folders that hold images, in the order of their characters' numbers; none without sub-folders."""
    return sorted({file.group for file in files if file.group is not None})


def cuts(positions: Sequence[float], test_share: float, validate_share: float) -> tuple[int, int]:
    """Where rising positions are cut: test, validate and train are before the first, between, and after the second cut.

    Test takes positions below its share, validate the share after it, train the rest: a file added moves no other. A
    split that would be empty takes its one nearest file; for that there must be three.
    """
    first = max(bisect_left(positions, test_share), 1)
    second = min(max(bisect_left(positions, test_share + validate_share), first + 1), len(positions) - 1)
    return min(first, second - 1), second


def checksum_of(files: Sequence[ImageFile], book: Path) -> str:
    """The sha256 over the names and the sha256 of all files.

    `book` keeps what is known of each file, so that one whose size and time of change are the same is not read again.
    """
    known, now = remembered(book), {}
    for file in files:
        state = file.path.stat()
        place, seen = str(file.path), [state.st_size, state.st_mtime_ns]
        old = known.get(place, [])
        now[place] = old if old[:2] == seen else [*seen, sha256_of(file.path)]
    if now != known:
        write_atomic(book, json.dumps(now).encode())
    lines = sorted(encoded(f"{now[str(file.path)][2]} {file.name}\n") for file in files)
    return sha256(b"".join(lines)).hexdigest()


def remembered(book: Path) -> dict[str, list[Any]]:
    """The size, time of change and sha256 of each path in the book; nothing where it is missing or damaged."""
    try:
        content = json.loads(book.read_bytes())
    except (OSError, ValueError):
        return {}
    whole = isinstance(content, dict) and all(isinstance(each, list) and len(each) == 3 for each in content.values())
    return content if whole else {}


def printable(text: str) -> str:
    """The text with a mark for each byte that is no character, so that any terminal can show it."""
    return encoded(text).decode("utf-8", "replace")


def encoded(text: str) -> bytes:
    """UTF-8, with the bytes of file names that are none kept as they are."""
    return text.encode("utf-8", "surrogateescape")
