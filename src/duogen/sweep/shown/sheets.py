"""Tables as plain cells: drawn as wide as a terminal is, or told as lines that are the same on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from duogen.experiment.summary import Name

APART = 2


@dataclass(frozen=True)
class Column:
    """A column's header, over as many lines as it has strings, and its cells.

    `right`: cells end at the same place; `value`: measured numbers, which do so too, and of which a narrow terminal
    shows as many as fit; `once`: not repeated in further tables; `machine`: what depends on the machine's speed and
    mishaps, and so is no result.
    """

    header: Sequence[str]
    cells: Sequence[str]
    right: bool = False
    value: bool = False
    once: bool = False
    machine: bool = False

    @property
    def width(self) -> int:
        """Characters that it needs; a long name in its header may be broken after an underscore."""
        parts = [part for line in self.header for part in Name(line).parts]
        return max(cell_len(text) for text in [*parts, *self.cells, ""])


@dataclass(frozen=True)
class Sheet:
    """A table: `columns` of equal length; `styles` by row, empty for plain; the last `under` rows stand apart.

    `brief`: where values do not fit, they are left out; else they are shown in further tables.
    """

    title: str
    columns: Sequence[Column]
    styles: Sequence[str] = ()
    under: int = 0
    brief: bool = False

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))


def text(sheet: Sheet) -> list[str]:
    """The sheet as lines, without what depends on the machine."""
    kept = replace(sheet, columns=[column for column in sheet.columns if not column.machine])
    header = " | ".join(" ".join(filter(None, column.header)) for column in kept.columns)
    return [sheet.title, header, *(" | ".join(row) for row in kept.rows)]


def fitting(sheet: Sheet, width: int) -> list[Sheet]:
    """The sheet in as many parts as its values need at this width, each with the columns that name its rows."""
    part: list[Column] = [column for column in sheet.columns if not column.value]
    names = [column for column in part if not column.once]
    parts = [part]
    for column in (column for column in sheet.columns if column.value):
        if any(c.value for c in parts[-1]) and sum(c.width + APART for c in [*parts[-1], column]) > width + APART:
            parts.append(list(names))
        parts[-1].append(column)
    shown = parts[:1] if sheet.brief else parts
    return [
        replace(sheet, title="" if place else sheet.title, columns=sorted(part, key=sheet.columns.index))
        for place, part in enumerate(shown)
    ]


def drawn(sheet: Sheet) -> Table:
    """The sheet as a table for a terminal."""
    table = Table(title=sheet.title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.show_edge, table.pad_edge, table.collapse_padding = False, False, True
    for column in sheet.columns:
        header = "\n".join(part for line in column.header for part in broken(line, column.width))
        table.add_column(
            header, justify="right" if column.value or column.right else "left", overflow="fold", no_wrap=column.value
        )
    last = len(sheet.rows) - sheet.under - 1
    for index, (row, style) in enumerate(zip_longest(sheet.rows, sheet.styles, fillvalue="")):
        table.add_row(*map(Text, row), style=style, end_section=index == last)
    return table


def broken(name: str, width: int) -> list[str]:
    """The name in lines of at most `width`, broken after underscores alone."""
    lines = [""]
    for part in Name(name).parts:
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return lines
