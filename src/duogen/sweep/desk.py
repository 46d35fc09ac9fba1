"""Where trials are handed out and taken back: what a fleet of workers, of any kind, sees of a sweep."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from duogen.sweep.agenda import Trial


class Desk(Protocol):
    """Hands out trials that are claimed for this process and not yet ended, and takes their ends."""

    def next(self) -> Trial | None:
        """A trial to run now; None where there is none now. Ask again after an end; `open` says whether to wait."""
        ...

    @property
    def open(self) -> bool:
        """Whether more trials may come without an end being told, such as ones that another process runs."""
        ...

    def stop(self) -> None:
        """Hands out nothing more, and takes what ends from now on as interrupted."""
        ...

    def tick(self) -> None:
        """Time has passed: to be called about every second."""
        ...

    def started(self, trial: Trial, slots: Sequence[str]) -> None:
        """It begins to run on these slots."""
        ...

    def heard(self, trial: Trial, step: int, row: Mapping[str, float]) -> bool:
        """It has closed a row at `step`; whether it is to be pruned now."""
        ...

    def ended(self, trial: Trial, code: int, timed_out: bool) -> None:
        """All of its processes are gone; `code` is its exit code, negative for a signal."""
        ...


class Fleet(Protocol):
    """Workers: slots on this machine, or a cluster's queue."""

    def work(self, desk: Desk) -> None:
        """Runs what the desk hands out until it has nothing more, as many at once as there is room for."""
        ...
