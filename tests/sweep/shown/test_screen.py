import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Trial
from duogen.sweep.shown.screen import Screen

ERROR = 'Traceback (most recent call last):\n  File "x.py", line 3\nRuntimeError: sizes [3] and [4] differ\n'
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def trial(seed):
    plan = Plan({"trainer": {"max_steps": 1000, "devices": 1}}, Path(f"k{seed}"))
    return Trial(plan, Path("x"), {"generator": "mlp"}, seed)


def row(value):
    return {"step": 1, "validate/gan/frechet_pixels": value, "samples": 64}


class Sweep:
    """A screen with a clock of one's own, and what it has shown."""

    def __init__(self, terminal, expected=4, width=90, color=None, term="xterm", metric=None):
        self.now, self.output, self.seen = 0.0, io.StringIO(), 0
        console = Console(
            file=self.output, force_terminal=terminal, width=width, height=30, color_system=color,
            highlight=False, _environ={"TERM": term},
        )  # fmt: skip
        self.screen = Screen("ring", 2, expected, metric, False, console, lambda: self.now)
        self.screen.begin()

    def new(self):
        text = self.output.getvalue()
        self.seen, seen = len(text), self.seen
        return text[seen:]

    def lines(self):
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", self.new()).splitlines()]


@pytest.fixture(autouse=True)
def streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())


@pytest.mark.parametrize(("terminal", "term"), [(False, "xterm"), (True, "dumb")])
def test_plain_lines_tell_each_start_and_end_and_a_failures_error_at_once(terminal, term):
    sweep = Sweep(terminal, term=term, width=30)
    screen = sweep.screen
    assert sweep.lines() == ["sweep ring: 4 trials, 2 at once"]
    screen.started(trial(0), ["cpu:0"])
    screen.started(trial(1), ["cuda:0", "cuda:1"])
    assert sweep.lines() == [
        "started      generator=mlp,seed=0  on cpu:0",
        "started      generator=mlp,seed=1  on cuda:0 cuda:1",
    ]
    screen.heard(trial(0), 1000, row(2.5))
    screen.ended(trial(0), "done", 61.2, None)
    screen.ended(trial(1), "failed", 3.0, ERROR)
    screen.said("[bold] is not read as markup")
    assert sweep.lines() == [
        "done         generator=mlp,seed=0  0:01:01  frechet_pixels 2.5",
        "failed       generator=mlp,seed=1  0:00:03",
        *(f"  {line}" for line in ERROR.splitlines()),
        "[bold] is not read as markup",
    ]


def test_a_long_error_is_told_by_its_end():
    sweep = Sweep(False)
    sweep.screen.ended(trial(0), "failed", 3.0, "\n".join(f"line {n}" for n in range(100)))
    assert sweep.lines()[2:] == [f"  line {n}" for n in range(92, 100)]


def test_a_plain_summary_comes_every_thirty_seconds_and_at_the_end():
    sweep = Sweep(False)
    sweep.screen.started(trial(0), ["0"])
    sweep.screen.skipped(trial(2), "done", {"frechet_pixels": 9.0})
    sweep.new()
    for step in range(10, 1000, 10):  # a step in a tenth of a second
        sweep.now += 1.0
        sweep.screen.heard(trial(0), step, {})
    assert sweep.lines() == [
        "sweep ring 1/4  1 done (1 ended earlier)  1 running  2 waiting  0:00:30  0:02:15 left",
        "sweep ring 1/4  1 done (1 ended earlier)  1 running  2 waiting  0:01:00  0:02:00 left",
        "sweep ring 1/4  1 done (1 ended earlier)  1 running  2 waiting  0:01:30  0:01:45 left",
    ]
    sweep.screen.heard(trial(0), 1000, row(2.5))
    sweep.screen.ended(trial(0), "done", 100.0, None)
    sweep.screen.expect(2)
    sweep.new()
    sweep.screen.finish()
    sweep.screen.finish()
    sweep.screen.tick()
    assert sweep.lines() == [
        "sweep ring 2/2  2 done (1 ended earlier)  best frechet_pixels 2.5 (generator=mlp,seed=0)  0:01:39"
    ]


def test_a_terminal_is_drawn_at_most_four_times_a_second():
    sweep = Sweep(True)
    sweep.screen.started(trial(0), ["0"])
    sweep.new()
    for step in range(1, 1000):
        sweep.now += 1 / 256
        sweep.screen.heard(trial(0), step, {})
    assert sweep.new().count("steps/s") == 15


def test_time_goes_on_where_nothing_happens():
    sweep = Sweep(True)
    sweep.new()
    sweep.now = 7.0
    sweep.screen.tick()
    assert "0:00:07" in sweep.new()
    sweep.screen.tick()
    assert sweep.new() == ""


def test_an_end_leaves_one_line_above_the_panel():
    sweep = Sweep(True)
    for seed in range(3):
        sweep.screen.started(trial(seed), ["0"])
    sweep.screen.heard(trial(0), 1000, row(2.5))
    sweep.new()
    sweep.screen.ended(trial(0), "done", 61.2, None)
    assert sweep.lines()[0] == "done         generator=mlp,seed=0  0:01:01  frechet_pixels 2.5"
    sweep.screen.ended(trial(1), "failed", 3.0, ERROR)
    shown = sweep.lines()
    assert shown[0] == "failed       generator=mlp,seed=1  0:00:03  RuntimeError: sizes [3] and [4] differ"
    assert "1 done  1 running  1 waiting  1 failed" in shown
    sweep.screen.ended(trial(2), "nan", 3.0, "generator/adversarial " * 20)
    line = sweep.lines()[0]
    assert len(line) == 90
    assert line.endswith("…")


def test_only_failures_are_red():
    sweep = Sweep(True, color="standard")
    sweep.screen.started(trial(0), ["0"])
    sweep.screen.ended(trial(0), "done", 1.0, None)
    sweep.screen.started(trial(1), ["0"])
    sweep.screen.ended(trial(1), "pruned", 1.0, None)
    assert "\x1b[31m" not in sweep.new()
    sweep.screen.started(trial(2), ["0"])
    sweep.screen.ended(trial(2), "timeout", 1.0, "stopped after 1 s")
    shown = sweep.new()
    assert "\x1b[31mtimeout" in shown
    assert "\x1b[31m1 timeout" in shown


def test_the_terminal_is_given_back_with_the_last_panel_standing():
    before = sys.stdout
    sweep = Sweep(True)
    assert HIDE in sweep.new()
    assert sys.stdout is not before
    sweep.screen.started(trial(0), ["0"])
    sweep.screen.ended(trial(0), "done", 1.0, None)
    sweep.new()
    sweep.screen.finish()
    shown = sweep.new()
    assert "1/4" in shown
    assert shown.endswith(SHOW)
    assert sys.stdout is before
    sweep.screen.finish()
    sweep.screen.tick()
    assert sweep.new() == ""


def test_a_print_stands_above_the_panel():
    sweep = Sweep(True)
    sweep.new()
    print("saved")
    sweep.screen.said("two settings make no sense")
    shown = sweep.new()
    assert "saved\n" in shown
    assert "two settings make no sense\n" in shown


@pytest.mark.parametrize(
    ("slots", "expected", "line"),
    [(0, 4, "sweep ring: 4 trials"), (3, None, "sweep ring: 3 at once"), (0, None, "sweep ring: begun")],
)
def test_what_nobody_knows_is_not_told(slots, expected, line):
    output = io.StringIO()
    Screen("ring", slots, expected, None, False, Console(file=output)).begin()
    assert output.getvalue() == f"{line}\n"
