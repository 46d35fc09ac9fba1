"""What a person sees of a running sweep: a live panel on a terminal, with a line above it for each trial that ended;
plain lines elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from duogen.experiment.summary import last_error
from duogen.sweep.agenda import Trial
from duogen.sweep.shown.board import Board
from duogen.sweep.shown.panel import QUIET, called, clock, counts, view
from duogen.sweep.shown.tables import BAD

LIVE_S, PLAIN_S = 0.25, 30.0
TAIL = 8  # lines of a failed trial's error
STATUS = 11  # the longest status


class Screen:
    """Shows a sweep as it is told of it.

    A terminal is drawn at most four times a second, besides when a trial starts or ends. Elsewhere there is a line for
    each start and each end, and a summary about every thirty seconds. `tick` lets the time go on where nothing happens.

    Args:
        name: of the sweep.
        slots: how many trials of one slot may run at once; 0 where nobody knows.
        expected: how many trials there will be, or None where nobody knows.
        metric: the short name of the validated value that decides; by default the first that is heard of.
        higher_is_better: its direction.
        console: where to show it; stdout by default.
        clock: the time in seconds.
    """

    def __init__(
        self,
        name: str,
        slots: int,
        expected: int | None,
        metric: str | None,
        higher_is_better: bool,
        console: Console | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.name, self.clock = name, clock
        self.console = console or Console(highlight=False)
        self.board = Board(slots, expected, metric, higher_is_better)
        self.live: Live | None = None
        self.began = self.due = clock()
        self.widest = 0

    def begin(self) -> None:
        """Takes the terminal, or says what begins."""
        self.began = now = self.clock()
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.due = now
            self.live = Live(console=self.console, auto_refresh=False)
            self.live.start()
            self.draw(now)
        else:
            self.due = now + PLAIN_S
            known = {"trials": self.board.expected, "at once": self.board.slots}
            told = ", ".join(f"{number} {what}" for what, number in known.items() if number)
            self.line(Text(f"sweep {self.name}: {told or 'begun'}"))

    def expect(self, n: int) -> None:
        """There will be `n` trials in all."""
        self.board.expected = n
        self.tick()

    def started(self, trial: Trial, slots: Sequence[str]) -> None:
        now = self.clock()
        self.board.start(trial, slots, now)
        self.widest = max(self.widest, len(trial.label))
        if self.live is None:
            self.line(Text(f"{'started':{STATUS}}  {trial.label}  on {' '.join(slots)}"))
            self.tick()
        else:
            self.draw(now)

    def heard(self, trial: Trial, step: int, row: Mapping[str, float]) -> None:
        """The trial has closed a row of metrics.jsonl at `step`."""
        self.board.hear(trial, step, row, self.clock())
        self.tick()

    def ended(self, trial: Trial, status: str, wall_s: float, error: str | None) -> None:
        """The trial has ended so; it may start again."""
        now = self.clock()
        value = self.board.end(trial, status, wall_s)
        told = f"{self.board.metric} {value:.4g}" if status not in BAD and value is not None else ""
        said = error.strip() if error else ""
        if self.live is None:
            self.line(Text(f"{status:{STATUS}}  {trial.label}  {clock(wall_s)}  {told}".rstrip()))
            for line in said.splitlines()[-TAIL:]:
                self.line(Text(f"  {line}"))
            self.tick()
        else:
            self.line(self.end_of(trial, status, wall_s, last_error(said) if said else told))
            self.draw(now)

    def skipped(self, trial: Trial, status: str, values: Mapping[str, float] | None = None) -> None:
        """An earlier command has ended the trial; `values` are those that it validated last, by short name."""
        self.board.skip(trial, status, values or {})
        self.tick()

    def said(self, text: str) -> None:
        """Shows a line above the panel."""
        self.line(Text(text))

    def tick(self) -> None:
        """Draws what is due."""
        if (now := self.clock()) < self.due:
            return
        if self.live is not None:
            self.draw(now)
        else:
            self.due = now + PLAIN_S
            self.line(self.summary(now))

    def finish(self) -> None:
        """Gives the terminal back, with the last panel standing, or says how it went; once."""
        live, self.live = self.live, None
        if live is not None:
            live.update(self.panel(self.clock()), refresh=True)
            live.stop()
        elif self.due < float("inf"):
            self.line(self.summary(self.clock()))
        self.due = float("inf")

    def draw(self, now: float) -> None:
        self.due = now + LIVE_S
        if self.live is not None:
            below = Text()  # for what a terminal echoes of keys
            self.live.update(Group(self.panel(now), below), refresh=True)

    def panel(self, now: float) -> Group:
        return view(self.board, self.name, now - self.began, now, self.console.width, self.console.height)

    def line(self, text: Text) -> None:
        """One line that stays, never broken."""
        self.console.print(text, soft_wrap=True)

    def end_of(self, trial: Trial, status: str, wall_s: float, told: str) -> Text:
        """An end in one line of the terminal."""
        width = self.console.width
        room = min(self.widest, max(16, (width - STATUS - 12) * 3 // 5))
        bad = "red" if status in BAD else ""
        style = bad or ("green" if status == "done" else QUIET)
        line = Text(f"{status:{STATUS}}  ", style).append(f"{called(trial, room, self.widest):{room}}", "default")
        line.append(f"  {clock(wall_s):>7}  ", QUIET).append(" ".join(told.split()), bad or "default")
        line.truncate(width, overflow="ellipsis")
        return line

    def summary(self, now: float) -> Text:
        """All counts, the best, and the times in one line."""
        board, left = self.board, self.board.left()
        total = "" if board.expected is None else f"/{board.expected}"
        items = [f"sweep {self.name} {len(board.ends)}{total}", counts(board).plain]
        if board.best is not None:
            items.append(f"best {board.metric} {board.best[0]:.4g} ({board.best[1]})")
        items.append(clock(now - self.began))
        if left is not None and (board.running or board.waiting):
            items.append(f"{clock(left)} left")
        return Text("  ".join(filter(None, items)))
