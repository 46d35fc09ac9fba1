"""`duogen sweep status`: what a sweep has found so far, from its folder alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from duogen.sweep.shown.reading import Best, Row, objectives, plan, ranked, row
from duogen.sweep.shown.sheets import Sheet, drawn, fitting, text
from duogen.sweep.shown.tables import BAD, counted, errors, leaders, repeated, single, varying

OVER = ("done", "pruned", "nan")
FEW = 40  # trials that have a row each


@dataclass(frozen=True)
class Sweep:
    """A sweep as it stands: its plan, and its trials in the plan's order."""

    folder: Path
    content: Mapping[str, Any]
    rows: Sequence[Row]

    @classmethod
    def read(cls, folder: Path) -> "Sweep":
        """Reads it; raises UserError where there is no sweep."""
        content = plan(folder)
        return cls(folder, content, [row(folder, trial) for trial in content["trials"]])

    @property
    def best(self) -> list[Best]:
        return ranked(self.folder, self.rows, objectives(self.content))

    def sheets(self) -> Iterator[Sheet]:
        """Its settings, its trials where they are few, what went wrong, and the best of a search."""
        wanted = objectives(self.content)
        yield repeated(self.rows)
        if len(self.rows) <= FEW:
            yield single(self.folder, self.rows, wanted)
        if any(one.error for one in self.rows):
            yield errors(self.rows)
        if found := self.best:
            yield leaders(found, wanted, varying(one.group for one in self.rows))

    def summary(self) -> Text:
        """How many trials have come how far, in one line."""
        count = len(self.rows)
        line = Text(f"{self.content['name']}: {count} {'trial' if count == 1 else 'trials'}")
        for status, number in counted(self.rows).items():
            line.append(", ").append(f"{number} {status}", "red" if status in BAD else "")
        return line


def trials(folder: Path) -> list[Row]:
    """All trials, in the plan's order."""
    return list(Sweep.read(folder).rows)


def best(folder: Path) -> list[Best]:
    """The settings of a search that are done, best first; of several objectives the Pareto front, by the first one."""
    return Sweep.read(folder).best


def tables(folder: Path, width: int) -> list[Table]:
    """Its sheets as tables of at most `width` characters; one with more metrics than fit becomes several."""
    return [drawn(part) for sheet in Sweep.read(folder).sheets() for part in fitting(sheet, width)]


def lines(folder: Path) -> list[str]:
    """Its sheets as plain lines, without times and attempts: equal for equal results."""
    return [line for sheet in Sweep.read(folder).sheets() for line in text(sheet)]


def status(folder: Path) -> int:
    """Prints what the sweep has found so far, and the command that continues it.

    Raises:
        UserError: the folder holds no sweep.
    """
    sweep, console = Sweep.read(folder), Console(highlight=False)
    console.print(sweep.summary(), soft_wrap=True)
    for sheet in sweep.sheets():
        for part in fitting(sheet, console.width):
            console.print()
            if part.title:  # of its own, as a narrow table would break it
                console.print(Text(part.title, "bold"), soft_wrap=True)
            console.print(drawn(replace(part, title="")))
    if sweep.content.get("command") and any(one.status not in OVER for one in sweep.rows):
        console.print(Text(f"\nto continue: {sweep.content['command']}"), soft_wrap=True)
    return 0
