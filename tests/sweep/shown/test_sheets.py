import io

import pytest
from rich.console import Console

from duogen.sweep.shown.sheets import Column, Sheet, broken, drawn, fitting, text

SHEET = Sheet(
    "settings",
    [
        Column(["generator"], ["mlp", "dcgan", "real data"]),
        Column(["done"], ["2/2", "1/2", ""], once=True),
        Column(["frechet_pixels", "↓ pixel^2"], ["1.50 ± 0.20", "2", "0.1"], value=True),
        Column(["modes", "↑ 1"], ["8", "7", ""], value=True),
        Column(["recall_lenet", "↑ share"], ["0.5", "", "0.99"], value=True),
        Column(["seconds"], ["7", "11", ""], machine=True, right=True),
    ],
    styles=["", "red"],
    under=1,
)


def shown(sheet, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(drawn(sheet))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_lines_hold_all_that_is_no_machines():
    assert text(SHEET) == [
        "settings",
        "generator | done | frechet_pixels ↓ pixel^2 | modes ↑ 1 | recall_lenet ↑ share",
        "mlp | 2/2 | 1.50 ± 0.20 | 8 | 0.5",
        "dcgan | 1/2 | 2 | 7 | ",
        "real data |  | 0.1 |  | 0.99",
    ]


@pytest.mark.parametrize("width", [200, 66, 50, 40, 25])
def test_no_part_is_too_wide_and_no_value_is_lost(width):
    parts = fitting(SHEET, width)
    assert [column for part in parts for column in part.columns if column.value] == SHEET.columns[2:5]
    for part in parts:
        assert part.columns[0] == SHEET.columns[0]
        if width >= 40:
            assert max(map(len, shown(part, width))) <= width
    assert [len(parts), parts[0].title] == [{200: 1, 66: 1, 50: 2, 40: 2, 25: 3}[width], "settings"]
    assert all(part.title == "" for part in parts[1:])
    assert all(column.header != ["done"] for part in parts[1:] for column in part.columns)


def test_a_brief_sheet_drops_what_does_not_fit():
    brief = Sheet("trials", SHEET.columns, brief=True)
    (part,) = fitting(brief, 40)
    assert [column.header[0] for column in part.columns] == ["generator", "done", "frechet_pixels", "seconds"]


def test_a_sheet_is_drawn_with_its_floor_apart():
    lines = shown(SHEET, 100)
    assert lines == [
        "settings",
        "                    frechet_         recall_",
        "                      pixels  modes    lenet",
        "generator  done    ↓ pixel^2    ↑ 1  ↑ share  seconds",
        "─────────────────────────────────────────────────────",
        "mlp        2/2   1.50 ± 0.20      8      0.5        7",
        "dcgan      1/2             2      7                11",
        "",
        "real data                0.1            0.99",
    ]


def test_markup_in_a_cell_is_text():
    assert "[red]x" in shown(Sheet("t", [Column(["a"], ["[red]x"])]), 40)[-1]


@pytest.mark.parametrize(
    ("name", "width", "lines"),
    [
        ("a_bc_d", 4, ["a_", "bc_d"]),
        ("a_bc_d", 6, ["a_bc_d"]),
        ("abcdef", 3, ["abcdef"]),
        ("↓ pixel^2", 3, ["↓ pixel^2"]),
    ],
)
def test_names_break_after_underscores_alone(name, width, lines):
    assert broken(name, width) == lines
