"""The rows of a run that another process writes, as they come."""

import json
from pathlib import Path
from typing import Any


class Tail:
    """Each row of a metrics.jsonl once, in order of its steps.

    A run that continues cuts the file to its checkpoint and writes the same rows again: steps already read stay read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.offset, self.step = path, 0, -1

    def new(self) -> list[tuple[int, dict[str, Any]]]:
        """The rows closed since last asked, each with its step; a line that is still being written waits."""
        lines = self.lines()
        try:
            rows = [json.loads(line) for line in lines]
        except ValueError:
            self.offset = 0  # the file was cut within what had been read, and has grown past it since
            return []
        fresh = [(int(row["step"]), row) for row in rows if row["step"] > self.step]
        self.step = max([self.step, *(step for step, _ in fresh)])
        return fresh

    def lines(self) -> list[bytes]:
        try:
            with self.path.open("rb") as file:
                self.offset = self.offset if file.seek(0, 2) >= self.offset else 0
                file.seek(self.offset)
                whole = file.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        self.offset += len(whole) + 1 if whole else 0
        return whole.splitlines()
