"""Checksums: the proof that two people train on the same bytes."""

import hashlib
from pathlib import Path

from duogen.errors import UserError


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(what: str, content: bytes, declared: str, remedy: str) -> None:
    """Refuses `content` whose sha256 is not the declared one.

    Raises:
        UserError: names `what` was read, both checksums and the remedy.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != declared:
        raise UserError(f"{what} has the sha256 {found}", f"the declared sha256 {declared}", remedy)
