"""The pool: trials on the slots of this machine, one fresh process group each, forked from a warm template."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from duogen.errors import UserError
from duogen.experiment.attempt import attempt
from duogen.experiment.begin import limits
from duogen.experiment.crew import Crew
from duogen.experiment.folder import RunFolder
from duogen.signals import owning_signals
from duogen.sweep.agenda import Trial
from duogen.sweep.desk import Desk
from duogen.sweep.local.memory import MOST, Fitting, gpu_memory
from duogen.sweep.local.slots import Slot, Slots, cores, environment, named, nvidia_smi, on_cores, on_gpus, visible_gpus

ELSEWHERE_S = 0.5
TICK_S = 1.0


@dataclass
class Running:
    """A trial on its slots."""

    trial: Trial
    slots: list[Slot]
    crew: Crew
    line: Connection | None
    since: float = field(default_factory=time.monotonic)


class Pool:
    """Runs what a desk hands out, as many trials at once as there are slots, and never two on a slot.

    A signal that asks for an end lets every trial save first, and hands out nothing more; a second Ctrl-C ends them
    at once.
    """

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.running: list[Running] = []
        self.waiting: Trial | None = None
        self.stopped_by: int | None = None

    @property
    def capacity(self) -> int:
        """How many slots there are."""
        return len(self.slots.all)

    @property
    def places(self) -> int:
        """The number of ranks that one trial may have."""
        return self.slots.places

    def work(self, desk: Desk) -> None:
        """Runs what the desk hands out until it has nothing more."""
        with owning_signals(self.stopper(desk)):
            try:
                while self.fill(desk) or self.running or desk.open:
                    self.listen(desk)
            finally:
                for one in self.running:
                    one.crew.kill()

    def fill(self, desk: Desk) -> bool:
        """Starts trials while there is room; whether one waits for more room."""
        while self.slots.open and self.stopped_by is None:
            trial = self.waiting or desk.next()
            self.waiting = None
            if trial is None or self.stopped_by is not None:  # it may have taken its time
                return False
            slots = self.slots.take(trial.slots, trial.alone)
            if slots is None:
                self.waiting = trial
                return True
            self.start(desk, trial, slots)
        return False

    def start(self, desk: Desk, trial: Trial, slots: list[Slot]) -> None:
        """Begins a trial on its slots, with a line to rank 0."""
        ours, theirs = Pipe()
        shares = [(str(trial.file), theirs if rank == 0 else None) for rank in range(trial.slots)]
        log = trial.file.with_suffix(".log")
        crew = Crew(attempt, shares, environment(slots, os.environ), slots[0].threads, log, **limits(trial.plan.config))
        desk.started(trial, [slot.name for slot in slots])
        self.running.append(Running(trial, slots, crew, ours))
        crew.start()
        theirs.close()
        if self.stopped_by is not None:  # the signal came before there was a process to pass it on to
            crew.signal(self.stopped_by)

    def listen(self, desk: Desk) -> None:
        """Waits for a row, an end, or the next thing that is due, and deals with it."""
        lines: list[Any] = [one.line for one in self.running if one.line is not None]
        due = [patience for one in self.running if (patience := one.crew.patience()) is not None]
        due.append(ELSEWHERE_S if desk.open and self.slots.free else TICK_S)
        wait([*lines, *(sentinel for one in self.running for sentinel in one.crew.sentinels)], min(due))
        for one in list(self.running):
            self.hear(desk, one)
            code = one.crew.poll()
            if code is not None:
                self.hear(desk, one)
                self.running.remove(one)
                desk.ended(one.trial, code, one.crew.timed_out)
                self.slots.learn(one.slots, RunFolder(one.trial.plan.folder).record())
                self.slots.give(one.slots)
        desk.tick()

    def hear(self, desk: Desk, one: Running) -> None:
        """Takes the rows that a trial has sent, and answers where it waits for a word."""
        try:
            while one.line is not None and one.line.poll():
                step, row, awaits = one.line.recv()
                stop = desk.heard(one.trial, step, row)
                if awaits:
                    one.line.send(stop)
        except (EOFError, OSError):
            assert one.line is not None
            one.line.close()
            one.line = None

    def stopper(self, desk: Desk) -> Callable[[int, Any], None]:
        def stop(number: int, frame: Any) -> None:
            again = number == signal.SIGINT == self.stopped_by
            self.stopped_by = number
            desk.stop()
            for one in self.running:
                one.crew.kill() if again else one.crew.signal(number)

        return stop


def pool(names: Sequence[str] | None, slots_per_gpu: int | str, threads: int) -> Pool:
    """The pool of this machine: the slots named, else those of the visible GPUs, else those of the cores.

    Raises:
        UserError: a number that is none, or names that are not different.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UserError(f"hydra.launcher.threads={threads}", "1 or more", "e.g. hydra.launcher.threads=2")
    if names is not None:
        return Pool(Slots(named(names, cores())))
    devices = visible_gpus(os.environ, nvidia_smi)
    if not devices:
        return Pool(Slots(on_cores(cores(), threads)))
    if slots_per_gpu == "auto":
        return Pool(Fitting(on_gpus(devices, MOST, cores()), gpu_memory))
    if isinstance(slots_per_gpu, bool) or not isinstance(slots_per_gpu, int) or slots_per_gpu < 1:
        raise UserError(
            f"hydra.launcher.slots_per_gpu={slots_per_gpu}", "1 or more, or auto", "e.g. hydra.launcher.slots_per_gpu=2"
        )  # fmt: skip
    return Pool(Slots(on_gpus(devices, slots_per_gpu, cores())))
