"""Files that are there whole or not at all, whenever the machine stops."""

import os
from pathlib import Path


def write_atomic(path: Path, content: bytes) -> None:
    """Replaces `path` by `content` in one step, after it has reached the disk; parent folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
