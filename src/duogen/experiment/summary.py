"""What a person wants to see when a run has ended: its values beside the floor, and where its pictures lie."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.records import MetricValue


@dataclass(frozen=True)
class Name:
    """A name that a narrow terminal breaks after an underscore, never within a word."""

    text: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(max(map(len, self.parts)), len(self.text)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for part in self.parts:
            fits = len(lines[-1] + part) <= options.max_width
            lines[-1:] = [lines[-1] + part] if fits else [lines[-1], part]
        yield Text("\n".join(lines).lstrip("\n"))

    @property
    def parts(self) -> list[str]:
        return re.findall(r"[^_]*_|[^_]+", self.text)


def table(values: Sequence[MetricValue], title: str) -> Table:
    """One row per value: ours, and real data in the place of generated data."""
    real = {value.name: value for value in values if value.weights == "real"}
    shown = Table(title=title, title_justify="left")
    for header in ("metric", "better", "generated", "real data", "unit", "examples"):
        left = header in ("metric", "better", "unit")
        shown.add_column(header, justify="left" if left else "right", overflow="fold")
    for value in values:
        if value.weights != "real":
            other = f"{real[value.name].value:.4g}" if value.name in real else ""
            arrow = "higher" if value.higher_is_better else "lower"
            counts = str(value.protocol.get("n_generated") or value.protocol.get("n_real", ""))
            shown.add_row(Name(value.name), arrow, f"{value.value:.4g}", other, value.unit, counts)
    return shown


def print_values(console: Console, values: Sequence[MetricValue], remarks: Sequence[str], title: str) -> None:
    """The table, and below it what a reader must know of the values."""
    console.print(table(values, title))
    for remark in remarks:
        console.print(f"note: {remark}", markup=False)


def show(folder: RunFolder) -> None:
    """Prints the record's table, or what went wrong, and the paths worth opening."""
    record = folder.record()
    if record is None:
        return
    console = Console(soft_wrap=True, highlight=False)
    if record.status == "done":
        choices = f"{record.choices.get('model')} on {record.choices.get('data')}"
        weights = next((value.weights for value in record.metrics if value.weights != "real"), "raw")
        title = f"{choices}, {record.steps} steps, {weights} weights, {record.wall_s:.0f} s"
        print_values(console, record.metrics, record.remarks, title)
    else:
        said = f": {last_error(record.error)}" if record.error else ""
        console.print(f"{record.status} at step {record.steps}{said}", markup=False)
    pictures = sorted(folder.samples.glob("step-*.png"), key=lambda path: int(path.stem.removeprefix("step-")))
    if pictures:
        console.print(f"samples  {pictures[-1]}", markup=False)
    console.print(f"run      {folder.path}", markup=False)


def last_error(error: str) -> str:
    """The line that names the exception: the first after a traceback's last frame, else the last; none is indented."""
    lines = error.strip().splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith('  File "')]
    plain = [line for line in lines[frames[-1] if frames else 0 :] if not line.startswith(" ")] or lines[-1:]
    named = plain[0] if frames else plain[-1]
    return named.removeprefix(f"{UserError.__module__}.{UserError.__name__}: ")
