"""How a running sweep looks on a terminal: its progress, one row per running trial, and the best so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from duogen.sweep.agenda import Trial
from duogen.sweep.naming import brief
from duogen.sweep.shown.board import Board, Running
from duogen.sweep.shown.tables import BAD, ORDER

WIDE, BAR = 100, 12  # from this width on a running trial has a bar, which is so long
NARROW = 72  # up to this width it has neither slot nor speed
NAME, LEAST, KEPT = 14, 16, 11  # a metric's name in a header, a label, the lines that stand beside the rows
APART, QUIET = 2, "bright_black"


@dataclass(frozen=True)
class Field:
    """A column of the running trials."""

    header: str
    cells: Sequence[str | Text | ProgressBar]
    right: bool = True
    quiet: bool = False

    @property
    def width(self) -> int:
        return max(len(self.header), *(BAR if isinstance(cell, ProgressBar) else len(cell) for cell in self.cells))


def view(board: Board, name: str, elapsed: float, now: float, width: int, height: int) -> Group:
    """The whole panel, at most `width` wide and fit for a terminal of `height` lines with some left for what ended."""
    parts: list[Table | Text] = [head(board, name, elapsed, width), counts(board)]
    if board.running:
        rows = list(board.running.values())
        shown = rows[: max(3, height - KEPT)]
        parts += [Text(), running(shown, board.metric, now, width)]
        if len(rows) > len(shown):
            parts.append(Text(f"and {len(rows) - len(shown)} more running", QUIET))
    if board.best is not None:
        parts += [Text(), best(board, width)]
    return Group(*parts)


def head(board: Board, name: str, elapsed: float, width: int) -> Table:
    """Name, bar, how many are over, time so far and to come."""
    ended, left = len(board.ends), board.left()
    times = f"{clock(elapsed)}" + (
        f"  {clock(left)} left" if left is not None and (board.running or board.waiting) else ""
    )
    told = f"{ended}/{board.expected}" if board.expected is not None else f"{ended} ended"
    grid = Table.grid(padding=(0, 2), expand=False)
    title = Text(shorten(name, max(LEAST, width // 3)), "bold")
    if not board.expected:
        grid.add_row(title, told, Text(times, QUIET))
        return grid
    room = width - sum(map(len, (title.plain, told, times))) - 6
    grid.add_row(title, bar(board.expected, board.share, max(BAR, min(40, room))), told, Text(times, QUIET))
    return grid


def counts(board: Board) -> Text:
    """How many trials are how far; failures in red."""
    line, found = Text(), board.counts
    for status in [*ORDER, *sorted(found.keys() - set(ORDER))]:
        if found.get(status):
            style = "red" if status in BAD else "" if status in ("done", "running") else QUIET
            line.append("  " if line else "").append(f"{found[status]} {status}", style)
            if status == "done" and board.earlier:
                line.append(f" ({len(board.earlier)} ended earlier)", QUIET)
    return line


def running(rows: Sequence[Running], metric: str | None, now: float, width: int) -> Table:
    """One row per running trial; as many of its last validated values as there is room for, the deciding one first."""
    fields = facts(rows, now, width)
    longest = max(LEAST, *(len(one.trial.label) for one in rows))
    rest = width - taken(fields)
    fields[-1:-1] = chosen(rows, metric, rest - min(longest, max(LEAST, rest // 2)))
    room = max(LEAST, width - taken(fields))
    labels = Field("trial", [Text(called(one.trial, room, longest)) for one in rows], right=False)
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, APART, 0, 0), header_style=QUIET)
    for field in (labels, *fields):
        justify = "right" if field.right else "left"
        table.add_column(field.header, justify=justify, style=QUIET if field.quiet else "", no_wrap=True)
    for cells in zip(*(field.cells for field in (labels, *fields)), strict=True):
        table.add_row(*cells)
    return table


def facts(rows: Sequence[Running], now: float, width: int) -> list[Field]:
    """What is told of each trial beside its values; the time comes last."""
    steps = Field("step", [f"{one.step:,}/{one.total:,}" for one in rows])
    times = Field("time", [clock(now - one.since) for one in rows], quiet=True)
    if width < NARROW:
        return [steps, times]
    slots = Field("slot", [" ".join(one.slots) for one in rows], right=False, quiet=True)
    bars = Field("", [bar(one.total, one.step, BAR) for one in rows])
    return [
        slots,
        *([bars] if width >= WIDE else []),
        steps,
        Field("steps/s", [speed(one.speed) for one in rows]),
        times,
    ]


def chosen(rows: Sequence[Running], metric: str | None, room: int) -> list[Field]:
    """The values that have room; the deciding one in any case."""
    found: list[Field] = []
    for name in sorted(dict.fromkeys(name for one in rows for name in one.values), key=lambda name: name != metric):
        field = Field(shorten(name, NAME), [number(one.values.get(name)) for one in rows])
        if found and taken([*found, field]) > room:
            break
        found.append(field)
    return found


def taken(fields: Iterable[Field]) -> int:
    """Characters that the fields take beside another one."""
    return sum(APART + field.width for field in fields)


def best(board: Board, width: int) -> Text:
    """The best value so far, and whose it is."""
    assert board.best is not None
    value, label = board.best
    line = Text("best  ", QUIET).append(f"{board.metric} {value:.4g}", "bold cyan")
    return line.append(f"  {shorten(label, max(LEAST, width - len(line) - 2))}", "default")


def bar(total: float, done: float, width: int) -> ProgressBar:
    return ProgressBar(total, done, width, style="grey30", complete_style="cyan", finished_style="cyan")


def called(trial: Trial, width: int, longest: int) -> str:
    """A trial's label in at most `width` characters; where the longest label of all has no room, without the keys."""
    values = [*map(brief, trial.setting.values()), f"seed={trial.seed}"]
    return shorten(trial.label if longest <= width else ",".join(values), width)


def shorten(text: str, width: int) -> str:
    """The text in at most `width` characters: its start and, twice as long, its end, where trials differ."""
    if len(text) <= width:
        return text
    start = max(0, width - 1) // 3
    return f"{text[:start]}…{text[len(text) - (width - 1 - start) :]}"


def clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def speed(value: float | None) -> str:
    return "" if value is None else f"{value:{'.3g' if value < 100 else ',.0f'}}"


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
