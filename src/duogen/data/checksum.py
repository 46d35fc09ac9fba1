"""Checksums: the proof that two people train on the same bytes."""

import gzip
import hashlib
import zlib
from pathlib import Path

from duogen.errors import UserError


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def present(path: Path) -> Path | None:
    """The file at `path`, else the one packed beside it as `<name>.gz`; None where neither is there."""
    packed = path.with_name(path.name + ".gz")
    return next((found for found in (path, packed) if found.is_file()), None)


def whole(path: Path, declared: str | None) -> bool:
    """Whether the file, packed or not, is there with the declared sha256 once unpacked; None accepts any bytes."""
    found = present(path)
    if found is None or declared is None:
        return found is not None
    if found == path:
        return sha256_of(path) == declared
    try:
        with gzip.open(found) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == declared
    except (OSError, EOFError, zlib.error):
        return False


def gunzipped(content: bytes, what: str) -> bytes:
    """The bytes in a gzip file.

    Raises:
        UserError: no gzip, or not all of it; it names `what` was read.
    """
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{what} cannot be unpacked: {error}", "a whole .gz file", f"fetch {what} again") from error


def verify(what: str, content: bytes, declared: str, remedy: str) -> None:
    """Refuses `content` whose sha256 is not the declared one.

    Raises:
        UserError: names `what` was read, both checksums and the remedy.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != declared:
        raise UserError(f"{what} has the sha256 {found}", f"the declared sha256 {declared}", remedy)
