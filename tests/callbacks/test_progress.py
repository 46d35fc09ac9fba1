import io
import re
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from duogen.callbacks.progress import Progress, losses, measures, packed

ROW = {
    "step": 50,
    "time": 1000.5,
    "train/discriminator/adversarial": 0.681234,
    "train/discriminator/gradient_norm": 3.0,
    "train/generator/adversarial": 0.71,
    "train/generator/lr": 0.002,
    "updates/generator": 50,
    "samples": 3200,
}
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Run:
    """A trainer whose steps take as long as one says, watched by a Progress."""

    def __init__(
        self, terminal: bool, step: int = 0, steps: int = 3000, rank_zero: bool = True, width: int = 150
    ) -> None:
        self.now, self.output = 0.0, io.StringIO()
        console = Console(
            file=self.output, force_terminal=terminal, width=width, color_system=None, _environ={"TERM": "xterm"}
        )
        self.module = SimpleNamespace(last_row={}, measured={})
        self.trainer = SimpleNamespace(is_global_zero=rank_zero, global_step=step, max_steps=steps)
        self.progress = Progress(50, console, lambda: self.now)
        self.progress.on_train_start(self.trainer, self.module)

    def steps(self, count: int, seconds: float) -> str:
        """Makes steps and returns what was shown for them."""
        seen = len(self.output.getvalue())
        for index in range(count):
            self.now += seconds
            self.trainer.global_step += 1
            self.progress.on_train_batch_end(self.trainer, self.module, None, None, index)
        return self.output.getvalue()[seen:]

    def end(self) -> str:
        seen = len(self.output.getvalue())
        self.progress.on_train_end(self.trainer, self.module)
        return self.output.getvalue()[seen:]


@pytest.fixture(autouse=True)
def streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())


def test_a_plain_line_comes_after_the_first_step_every_ten_seconds_and_at_the_end():
    run = Run(terminal=False, steps=1210)
    run.module.last_row = ROW
    run.module.measured = {"validate/gan/frechet_pixels": 12.345}
    assert run.steps(1, seconds=3.0).startswith("step 1/1,210  D adversarial 0.681")
    lines = run.steps(1199, seconds=0.0625).splitlines()
    assert [line.split()[1] for line in lines] == [
        "200/1,210",
        "400/1,210",
        "600/1,210",
        "800/1,210",
        "1,000/1,210",
        "1,200/1,210",
    ]
    assert lines[0] == (
        "step 200/1,210  16 steps/s  0:01:03 left  D adversarial 0.681  G adversarial 0.71  frechet_pixels 12.3"
    )
    run.steps(10, seconds=0.0625)
    assert run.end().startswith("step 1,210/1,210  16 steps/s  D adversarial")


def test_a_plain_line_is_never_broken():
    run = Run(terminal=False, width=20)
    run.module.last_row = ROW
    assert run.steps(1, seconds=1.0).count("\n") == 1


def test_the_rate_counts_only_the_steps_of_this_process():
    run = Run(terminal=False, step=1000, steps=3000)
    run.steps(1, seconds=30.0)
    (line,) = run.steps(249, seconds=0.125).splitlines()[-1:]
    assert line == "step 1,200/3,000  8 steps/s  0:03:45 left"


def test_a_terminal_is_drawn_at_most_four_times_a_second():
    run = Run(terminal=True)
    shown = run.steps(1000, seconds=1 / 256)
    assert shown.count("steps/s") + 1 == 16
    assert "\n" not in shown
    assert "961/3,000  256 steps/s" in shown


def test_a_slow_run_is_drawn_after_every_step():
    assert Run(terminal=True).steps(7, seconds=2.0).count("/3,000") == 7


@pytest.mark.parametrize("width", [80, 60, 48])
def test_a_narrow_terminal_shows_all_in_more_lines(width):
    run = Run(terminal=True, width=width)
    run.module.last_row = ROW
    run.module.measured = {"validate/gan/frechet_pixels": 12.345, "validate/gan/logits_generated": -0.5}
    run.steps(1, seconds=1.0)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", run.steps(1, seconds=0.5)).splitlines()
    assert all(len(line) <= width for line in lines)
    told = "2/3,000  2 steps/s  0:24:59 left  D adversarial 0.681  G adversarial 0.71  frechet_pixels 12.3"
    assert re.split(r" {2,}", "  ".join(line.strip("━╺╸ ") for line in lines)) == [
        *told.split("  "),
        "logits_generated -0.5",
    ]


@pytest.mark.parametrize(
    ("width", "lines"),
    [(9, ["ab  cde", "f"]), (10, ["ab  cde  f"]), (6, ["ab", "cde  f"]), (1, ["ab", "cde", "f"])],
)
def test_lines_are_packed_without_breaking_an_item(width, lines):
    assert packed(["ab", "cde", "f"], width) == lines


@pytest.mark.parametrize("ending", ["end", "error", "interrupt"])
def test_the_terminal_is_given_back(ending):
    before = sys.stdout
    run = Run(terminal=True)
    assert run.output.getvalue().endswith(HIDE)
    assert sys.stdout is not before
    run.steps(3, seconds=1.0)
    if ending == "end":
        assert "3/3,000" in run.end()
    else:
        error = ValueError() if ending == "error" else KeyboardInterrupt()
        run.progress.on_exception(run.trainer, run.module, error)
    assert run.output.getvalue().endswith("\n" + SHOW)
    assert sys.stdout is before
    length = len(run.output.getvalue())
    run.progress.on_exception(run.trainer, run.module, ValueError())
    assert len(run.output.getvalue()) == length


def test_a_print_stands_above_the_live_line():
    run = Run(terminal=True)
    run.steps(2, seconds=1.0)
    print("saved")
    assert "saved\n" in run.output.getvalue()


def test_only_rank_zero_shows_anything():
    for terminal in (True, False):
        run = Run(terminal=terminal, rank_zero=False)
        assert run.steps(30, seconds=5.0) + run.end() == ""


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ("discriminator/a generator/a", ["D a 0.0625", "G a 0.0625"]),
        ("discriminator/a discriminator/r1 discriminator/r2 generator/a", ["D a 0.0625", "D r1 0.0625", "G a 0.0625"]),
        ("autoencoder/a autoencoder/b autoencoder/c autoencoder/d autoencoder/e", [f"A {t} 0.0625" for t in "abcd"]),
        ("encoder/kl decoder/nll discriminator/a", ["E kl 0.0625", "decoder nll 0.0625", "discriminator a 0.0625"]),
        ("a/t b/t c/t d/t e/t", ["A t 0.0625", "B t 0.0625", "C t 0.0625", "D t 0.0625"]),
        ("", []),
    ],
)
def test_at_most_four_losses_are_shared_out_among_the_players(names, shown):
    assert losses({f"train/{name}": 0.0625 for name in names.split()}) == shown


def test_what_is_no_loss_is_not_shown():
    assert losses(ROW) == ["D adversarial 0.681", "G adversarial 0.71"]
    assert measures({"validate/gan/modes": 8.0, "validate/gan/high_quality": 0.98765}) == [
        "modes 8",
        "high_quality 0.988",
    ]
