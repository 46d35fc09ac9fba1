"""What a trial on a cluster and the command that waits for it tell each other: small files beside the trial's own."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from duogen.files import write_atomic


@dataclass(frozen=True)
class End:
    """How a trial's processes ended: the exit code, negative for a signal, and whether its time was up."""

    code: int
    timed_out: bool


class Notes:
    """The notes of the trial whose config is `file`: `.stop` asks it to stop, `.end` is its last word, `.job` its job.

    A note is there whole or not at all. What the trial has done otherwise stands in its run folder.
    """

    def __init__(self, file: Path) -> None:
        self.stop, self.last_word, self.submitted = (file.with_suffix(suffix) for suffix in (".stop", ".end", ".job"))

    def ask_stop(self) -> None:
        """Asks the trial to end as pruned at its next validation."""
        self.stop.touch()

    def end(self) -> End | None:
        """The last word of the trial; None while it has not spoken."""
        content = read(self.last_word)
        return None if content is None else End(**json.loads(content))

    def write_end(self, end: End) -> None:
        write_atomic(self.last_word, json.dumps(asdict(end)).encode())

    def job(self) -> str | None:
        """The name by which the queue knows the job that was submitted for this trial."""
        return read(self.submitted)

    def write_job(self, name: str) -> None:
        write_atomic(self.submitted, name.encode())

    def clear(self) -> None:
        """Forgets an earlier attempt."""
        for note in (self.stop, self.last_word, self.submitted):
            note.unlink(missing_ok=True)


def read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
