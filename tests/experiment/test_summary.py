"""What is printed at the end of a run."""

from io import StringIO

import pytest
from rich.console import Console

from duogen.experiment.folder import RunFolder
from duogen.experiment.summary import show, table
from duogen.records import MetricValue, RunRecord


def value(name, number, weights, better=True):
    return MetricValue(name, number, "share", better, "test", weights, {"n_generated": 50})


VALUES = [value("found", 0.123456, "ema"), value("gap", 2.0, "ema", False), value("found", 0.98, "real")]


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
        ("preempted", None, "preempted at step 30\n"),
    ],
)
def test_another_end_shows_what_happened_in_one_line(status, error, line, tmp_path, capsys):
    show(written(tmp_path, status=status, error=error))
    shown = capsys.readouterr().out
    assert shown.startswith(line)
    assert "found" not in shown


def test_nothing_is_shown_of_no_run(tmp_path, capsys):
    show(RunFolder(tmp_path / "nothing"))
    assert capsys.readouterr().out == ""
