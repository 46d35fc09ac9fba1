import io
from pathlib import Path

import pytest
from rich.console import Console

from duogen.experiment.trial import Plan
from duogen.sweep.agenda import Trial
from duogen.sweep.shown.board import Board
from duogen.sweep.shown.panel import called, clock, shorten, view

LONG = {"generator": "progressive_resnet", "adversarial": "relativistic_average_hinge", "generator.width": "128"}


def trial(index, setting=LONG):
    return Trial(Plan({"trainer": {"max_steps": 30_000, "devices": 1}}, Path(f"k{index}")), Path("x"), setting, index)


def drawn(board, width, height, now=4000.0):
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, legacy_windows=False)
    console.print(view(board, "losses-on-ring", 3661.0, now, width, height))
    return console.file.getvalue().splitlines()


def board(running, expected=40):
    found = Board(16, expected, "frechet_pixels", False)
    for index in range(running):
        found.start(trial(index), [f"cuda:{index}"], 1000.0)
        row = {"validate/gan/modes_found": 8.0, "validate/gan/frechet_pixels": 0.5 + index, "validate/gan/kid": 3.25}
        found.hear(trial(index), 1000, {}, 2000.0)
        found.hear(trial(index), 12_000, row, 3000.0)
    return found


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("running", [0, 1, 16, 60])
def test_the_panel_fits_its_terminal(width, running):
    found = board(running, expected=100)
    found.skip(trial(99), "failed", {})
    found.skip(trial(98), "done", {"frechet_pixels": 0.25})
    lines = drawn(found, width, 30)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 26
    shown = sum("/30,000" in line for line in lines)
    assert shown == min(running, 19)
    if running > shown:
        assert f"and {running - shown} more running" in lines


def test_a_wide_panel_holds_all():
    found = board(2)
    found.skip(trial(9), "oom", {})
    found.skip(trial(8), "done", {"frechet_pixels": 0.25})
    lines = drawn(found, 200, 40)
    assert lines[0].split()[0] == "losses-on-ring"
    assert lines[0].split()[2:] == ["2/40", "1:01:01", "1:45:41", "left"]
    assert lines[1] == "1 done (2 ended earlier)  2 running  36 waiting  1 oom"
    assert lines[3].split() == ["trial", "slot", "step", "steps/s", "frechet_pixels", "modes_found", "kid", "time"]
    assert lines[4].split()[0] == trial(0).label
    assert lines[5].split()[-6:] == ["12,000/30,000", "11", "1.5", "8", "3.25", "0:50:00"]
    assert lines[7] == f"best  frechet_pixels 0.25  {trial(8).label}"


def test_a_narrow_panel_keeps_what_decides():
    lines = drawn(board(2), 80, 24)
    assert lines[3].split() == ["trial", "slot", "step", "steps/s", "frechet_pixels", "time"]
    assert "━" not in lines[4]
    assert lines[4].split()[0].endswith("28,seed=0")
    assert lines[4].split()[0].startswith("progre")


def test_without_an_expected_number_there_is_no_bar():
    lines = drawn(board(1, expected=None), 100, 24)
    assert lines[0].split() == ["losses-on-ring", "0", "ended", "1:01:01"]


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abcdefghij", 10, "abcdefghij"), ("abcdefghij", 7, "ab…ghij"), ("abcdefghij", 4, "a…ij"), ("abc", 1, "…")],
)
def test_the_middle_is_left_out(text, width, shown):
    assert shorten(text, width) == shown
    assert len(shown) <= width


def test_labels_lose_their_keys_together_where_the_longest_has_no_room():
    one = trial(3, {"generator": "mlp", "adversarial": "hinge"})
    assert called(one, 40, longest=38) == "generator=mlp,adversarial=hinge,seed=3"
    assert called(one, 40, longest=60) == "mlp,hinge,seed=3"


def test_times_are_whole_seconds():
    assert [clock(seconds) for seconds in (0.4, 59.6, 3661, 90_000)] == [
        "0:00:00",
        "0:01:00",
        "1:01:01",
        "1 day, 1:00:00",
    ]
