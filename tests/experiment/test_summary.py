"""What is printed at the end of a run."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.experiment.summary import Name, show, table
from duogen.records import MetricValue, RunRecord


def value(name, number, weights, better=True):
    return MetricValue(name, number, "share", better, "test", weights, {"n_generated": 50})


VALUES = [value("found", 0.123456, "ema"), value("gap", 2.0, "ema", False), value("found", 0.98, "real")]


REFUSAL = f"duogen.errors.UserError: {UserError('class 2 has 1 example', '2 or more', 'add some')}\n"


def written(tmp_path, **changes):
    folder = RunFolder(tmp_path / "run")
    record = {"choices": {"model": "gan", "data": "ring"}, "metrics": VALUES, "steps": 30, "wall_s": 7.4} | changes
    folder.write_record(RunRecord("k", ["k"], overrides=[], seed=0, **record))
    for step in (5, 30, 10):
        (folder.samples / f"step-{step}.png").parent.mkdir(exist_ok=True)
        (folder.samples / f"step-{step}.png").touch()
    return folder


def cells(shown):
    printed = StringIO()
    Console(width=200, file=printed).print(shown)
    lines = [line for line in printed.getvalue().splitlines() if "│" in line]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_generated_stands_beside_real():
    assert cells(table(VALUES, "title")) == [
        ["found", "higher", "0.1235", "0.98", "share", "50"],
        ["gap", "lower", "2", "", "share", "50"],
    ]


LONG = ["kernel_distance_lenet_standard_error", "sliced_wasserstein_pixels", "modes_found", "ms_ssim"]


@pytest.mark.parametrize("width", [80, 100])
def test_names_break_after_underscores_where_the_terminal_is_narrow(width):
    printed = StringIO()
    values = [replace(value(name, 0.25, "raw"), unit="distance^2") for name in LONG]
    Console(width=width, file=printed).print(table([*values, replace(values[0], weights="real")], "title"))
    rows = [line.strip("│").split("│") for line in printed.getvalue().splitlines() if "│" in line]
    lines = [row[0].strip() for row in rows]
    assert max(map(len, printed.getvalue().splitlines())) <= width
    assert "".join(lines) == "".join(LONG)
    assert all(line.endswith("_") or any(name.endswith(line) for name in LONG) for line in lines)
    assert (lines == LONG) == (width == 100)
    assert [row[5].strip() for row in rows if row[5].strip()] == ["50"] * 4


@pytest.mark.parametrize(("text", "parts"), [("a_b", ["a_", "b"]), ("__a", ["_", "_", "a"]), ("a", ["a"])])
def test_a_name_is_the_sum_of_its_parts(text, parts):
    assert Name(text).parts == parts


def test_a_finished_run_shows_its_values_and_its_last_picture(tmp_path, capsys):
    folder = written(tmp_path, status="done")
    show(folder)
    shown = capsys.readouterr().out
    assert "gan on ring, 30 steps, ema weights, 7 s" in shown
    assert "0.1235" in shown
    assert f"samples  {folder.samples / 'step-30.png'}\n" in shown
    assert shown.endswith(f"run      {folder.path}\n")


@pytest.mark.parametrize(
    ("status", "error", "line"),
    [
        ("nan", "generator's adversarial is not finite at step 3", "nan at step 30: generator's adversarial is not"),
        ("failed", "Traceback\n  deep\nOSError: [disk] gone\n", "failed at step 30: OSError: [disk] gone\n"),
        ("failed", f"Traceback\n  deep\n{REFUSAL}", "failed at step 30: class 2 has 1 example\n"),
        ("failed", 'Traceback\n  File "a.py", line 3, in f\n    g()\nRuntimeError: CUDA error: lost\nFor debugging\n',
         "failed at step 30: RuntimeError: CUDA error: lost\n"),
        ("preempted", None, "preempted at step 30\n"),
    ],
)  # fmt: skip
def test_another_end_shows_what_happened_in_one_line(status, error, line, tmp_path, capsys):
    show(written(tmp_path, status=status, error=error))
    shown = capsys.readouterr().out
    assert shown.startswith(line)
    assert "found" not in shown


def test_nothing_is_shown_of_no_run(tmp_path, capsys):
    show(RunFolder(tmp_path / "nothing"))
    assert capsys.readouterr().out == ""
