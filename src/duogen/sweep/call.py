"""The command behind a sweep: what Hydra's plugins are not told by Hydra."""

from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """A `duogen train -m` as it was given.

    Args:
        arguments: its overrides, in order.
        config_dir, allow: as the command line gives them.
        folder: of the sweep, absolute.
        name: of the sweep.
    """

    arguments: tuple[str, ...]
    config_dir: Path | None
    allow: tuple[str, ...]
    folder: Path
    name: str
    fresh: bool

    @property
    def task(self) -> list[str]:
        """The overrides that concern runs, in order."""
        return [text for text in self.arguments if not text.lstrip("+~").startswith(("hydra.", "hydra/"))]

    @property
    def words(self) -> list[str]:
        """What stood behind `duogen train -m`."""
        options = ["--config-dir", str(self.config_dir)] if self.config_dir else []
        return [*self.arguments, *options, *(word for prefix in self.allow for word in ("--allow", prefix))]


CALL: ContextVar[Call] = ContextVar("call")
