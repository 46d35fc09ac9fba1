"""How far a run is: a live line on a terminal, or as many as its width takes; a plain line now and then elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from time import perf_counter
from typing import Any

from pytorch_lightning import Callback, Trainer
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LIVE_S, PLAIN_S = 0.25, 10.0
SHOWN = 4
BAR, APART = 20, "  "  # the bar's width, and what stands between two items
MINOR = ("gradient_norm", "lr")


class Progress(Callback):
    """Shows steps done of all, steps per second of this process, time left, the last row's losses, the last measures.

    A terminal is drawn at most four times a second. Elsewhere a line is printed after the first step, at the end, and
    between them about every ten seconds, at a step where a row stands. Only rank 0 shows anything.

    Args:
        log_every: in steps, >= 1: where rows stand.
        console: where to show it; stdout by default.
        clock: the time in seconds.
    """

    def __init__(
        self, log_every: int, console: Console | None = None, clock: Callable[[], float] = perf_counter
    ) -> None:
        self.log_every, self.clock = log_every, clock
        self.console = console or Console()
        self.live: Live | None = None
        self.due = 0.0
        self.began: tuple[float, int] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.due, self.began = (self.clock() if trainer.is_global_zero else float("inf")), None
        if trainer.is_global_zero and self.console.is_terminal and not self.console.is_dumb_terminal:
            self.live = Live(console=self.console, auto_refresh=False)
            self.live.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (now := self.clock()) >= self.due:
            self.tell(trainer, pl_module, now)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero:
            self.draw(trainer, pl_module, self.clock())
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self.stop()

    def tell(self, trainer: Trainer, module: Any, now: float) -> None:
        """Draws what is due; the speed is counted from the end of the first step, which may have had to compile."""
        if self.began is None:
            self.began = (now, trainer.global_step)
        elif self.live is None and trainer.global_step % self.log_every:
            return
        self.due = now + (PLAIN_S if self.live is None else LIVE_S)
        self.draw(trainer, module, now)

    def draw(self, trainer: Trainer, module: Any, now: float) -> None:
        done, total = trainer.global_step, trainer.max_steps
        items = [f"{done:,}/{total:,}", *self.pace(done, total, now)]
        items += [*losses(module.last_row), *measures(module.measured)]
        if self.live is None:
            self.console.print(Text(f"step {APART.join(items)}"), soft_wrap=True)
        else:
            lines = packed(items, self.console.width - BAR - 1)
            self.live.update(bar(done, total, lines), refresh=True)

    def pace(self, done: int, total: int, now: float) -> list[str]:
        """Steps per second and the time left, once there is something to count."""
        then, first = self.began or (now, done)
        if done == first or now <= then:
            return []
        speed = (done - first) / (now - then)
        left = timedelta(seconds=round((total - done) / speed))
        return [f"{speed:{'.3g' if speed < 100 else ',.0f'}} steps/s", *([f"{left} left"] if done < total else [])]

    def stop(self) -> None:
        """Gives the terminal back, with the last line standing."""
        live, self.live = self.live, None
        if live is not None:
            live.stop()


def bar(done: int, total: int, lines: Sequence[str]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=BAR)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(ProgressBar(total, done, width=BAR), Text("\n".join(lines)))
    return grid


def packed(items: Sequence[str], width: int) -> list[str]:
    """The items in lines of at most `width`, none broken; one that is wider has a line of its own."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1] + APART + item) <= width:
            lines[-1] += APART + item
        else:
            lines.append(item)
    return lines


def losses(row: Mapping[str, float]) -> list[str]:
    """At most four losses, shared out among the players, each under the player's initial where that is unambiguous."""
    terms: dict[str, list[tuple[str, float]]] = {}
    for name, value in row.items():
        split, _, rest = name.partition("/")
        player, _, term = rest.partition("/")
        if split == "train" and term and term not in MINOR:
            terms.setdefault(player, []).append((term, value))
    initials = [player[0] for player in terms]
    short = {player: player[0].upper() if initials.count(player[0]) == 1 else player for player in terms}
    share = max(1, SHOWN // max(1, len(terms)))
    return [f"{short[p]} {term} {value:.3g}" for p in terms for term, value in terms[p][:share]][:SHOWN]


def measures(measured: Mapping[str, float]) -> list[str]:
    return [f"{name.rpartition('/')[2]} {value:.3g}" for name, value in measured.items()]
