"""Ways for a rank to end, in a module that a fresh process can import."""

import os
import time
from pathlib import Path

from duogen.errors import UserError


def rank() -> int:
    return int(os.environ["RANK"])


def slow_first_rank(code: int, out: Path) -> int:
    """Rank 1 ends at once; rank 0 waits until it is gone, and then takes longer than any grace of the test."""
    if rank() == 1:
        (out / "pid").write_text(str(os.getpid()))
        return code
    while not (out / "pid").exists() or alive(int((out / "pid").read_text() or 0)):
        time.sleep(0.01)
    time.sleep(0.5)
    (out / "written").touch()
    return code


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def endless_first_rank(out: Path) -> int:
    if rank() == 1:
        raise RuntimeError("rank 1 fails")
    (out / "pid").write_text(str(os.getpid()))
    while True:
        time.sleep(1)


def mistaken() -> int:
    raise UserError("x=1", "x=2", "write x=2")


def note_environment(out: Path) -> int:
    words = [os.environ["RANK"], os.environ["WORLD_SIZE"], str(os.getpgid(0))]
    (out / os.environ["RANK"]).write_text(" ".join(words))
    return 0
