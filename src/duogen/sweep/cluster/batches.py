"""A fleet over a cluster: trials go out in batches as jobs of an engine, their ends come back as notes."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from duogen.signals import owning_signals
from duogen.sweep.agenda import Trial
from duogen.sweep.cluster.notes import Notes
from duogen.sweep.cluster.tail import Tail
from duogen.sweep.desk import Desk

LOST = -9
TAIL = 4000


class Job(Protocol):
    """One trial in the hands of an engine; `name` is what a later command finds it by."""

    @property
    def name(self) -> str | None: ...

    def over(self) -> bool:
        """Whether it neither runs nor waits for its turn."""
        ...

    def refused(self) -> Exception | None:
        """Why the engine could not run it, where that is known."""
        ...

    def output(self) -> Path | None:
        """The file in which a job that died without a word may have left one."""
        ...


class Engine(Protocol):
    """Takes trials as jobs: Slurm's queue, Ray, or any Hydra launcher."""

    def send(self, trials: Sequence[Trial], index: int) -> Sequence[Job]:
        """Hands them over without waiting, one job each; `index` counts those handed over before."""
        ...

    def found(self, name: str) -> Job | None:
        """The job of an earlier command where it still waits or runs."""
        ...

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Asks jobs to end, without waiting; a trial that trains may save first."""
        ...


class Flight:
    """A trial that is out, and what has been heard of it."""

    def __init__(self, trial: Trial, job: Job) -> None:
        self.trial, self.job = trial, job
        self.notes, self.tail = Notes(trial.file), Tail(trial.plan.folder / "metrics.jsonl")
        self.record = trial.plan.folder / "record.json"
        self.before = stamp(self)
        self.begun = False
        self.silent_since: float | None = None

    def watch(self, desk: Desk) -> None:
        """Tells the desk that it has begun, and each row that it has closed since."""
        if not self.begun:
            self.begun = stamp(self) != self.before
            if not self.begun:
                return
            desk.started(self.trial, [self.job.name or "job"])
        for step, row in self.tail.new():
            if desk.heard(self.trial, step, row):
                self.notes.ask_stop()

    def landed(self, desk: Desk, grace_s: float) -> bool:
        """Whether it has ended, which the desk is then told: by its last word, or by a long silence of a dead job."""
        over = self.job.over()
        end = self.notes.end()
        self.watch(desk)
        if end is not None:
            desk.ended(self.trial, end.code, end.timed_out)
            return True
        self.silent_since = (self.silent_since or time.monotonic()) if over else None
        if self.silent_since is None or time.monotonic() - self.silent_since < grace_s:
            return False
        refusal = self.job.refused()
        if refusal is not None and not self.begun:
            raise refusal
        self.keep_output()
        desk.ended(self.trial, LOST, timed_out=False)
        return True

    def keep_output(self) -> None:
        """What a lost job has printed joins what its trial has."""
        output = self.job.output()
        if output is not None and output.exists():
            with self.trial.file.with_suffix(".log").open("ab") as log:
                log.write(output.read_bytes()[-TAIL:])


def stamp(flight: Flight) -> tuple[int, int] | None:
    """What changes whenever the run's record is written."""
    try:
        found = flight.record.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


class Batches:
    """At most `at_once` trials out at a time, looked after every `poll_s` seconds.

    A job that is gone without a last word is given up after `grace_s` seconds, in which a shared file system may still
    bring one. A trial whose job an earlier command has left in the queue is waited for, not submitted again.
    Ctrl-C or SIGTERM cancels the jobs, which may save, and waits for them; a second one does not wait.
    """

    def __init__(self, engine: Engine, at_once: int, poll_s: float, grace_s: float) -> None:
        self.engine, self.at_once, self.poll_s, self.grace_s = engine, at_once, poll_s, grace_s
        self.flights: list[Flight] = []
        self.sent = 0
        self.stopped_by: int | None = None

    @property
    def capacity(self) -> int:
        """How many trials run at once: 0, since only the engine knows."""
        return 0

    def work(self, desk: Desk) -> None:
        """Runs what the desk hands out until it has nothing more."""
        with owning_signals(self.stopper(desk)):
            try:
                while self.fill(desk) or desk.open:
                    if not self.look(desk):
                        time.sleep(self.poll_s)
            except BaseException:
                self.cancel()
                raise

    def fill(self, desk: Desk) -> bool:
        """Sends out what the desk has, as far as there is room; whether any trial is out."""
        trials = batch(desk, self.at_once - len(self.flights))
        aloft = [Flight(trial, job) for trial, job in self.placed(trials)]
        self.flights += aloft
        if aloft and self.stopped_by is not None:  # the signal came while they went out
            self.engine.cancel([flight.job for flight in aloft])
        return bool(self.flights)

    def look(self, desk: Desk) -> bool:
        """Whether any trial has ended since."""
        grace = self.grace_s if self.stopped_by is None else 0.0
        aloft = [flight for flight in self.flights if not flight.landed(desk, grace)]
        ended = len(aloft) < len(self.flights)
        self.flights = aloft
        return ended

    def stopper(self, desk: Desk) -> Callable[[int, Any], None]:
        def stop(number: int, frame: Any) -> None:
            again = number == signal.SIGINT == self.stopped_by
            self.stopped_by = number
            if again:
                raise KeyboardInterrupt
            desk.stop()
            self.cancel()

        return stop

    def cancel(self) -> None:
        self.engine.cancel([flight.job for flight in self.flights])

    def placed(self, trials: Sequence[Trial]) -> list[tuple[Trial, Job]]:
        """Each trial with the job that an earlier command has left for it, the others with new ones."""
        old = [(trial, job) for trial in trials if (job := self.left(trial)) is not None]
        kept = {trial.key for trial, _ in old}
        fresh = [trial for trial in trials if trial.key not in kept]
        for trial in fresh:
            Notes(trial.file).clear()
        jobs = self.engine.send(fresh, self.sent) if fresh else []
        self.sent += len(fresh)
        for trial, job in zip(fresh, jobs, strict=True):
            if job.name is not None:
                Notes(trial.file).write_job(job.name)
        return [*old, *zip(fresh, jobs, strict=True)]

    def left(self, trial: Trial) -> Job | None:
        name = Notes(trial.file).job()
        return None if name is None else self.engine.found(name)


class Detached(Batches):
    """Submits all that the desk has and leaves it to the queue: nothing is waited for."""

    def work(self, desk: Desk) -> None:
        """Submits everything, and says where to look for it."""
        count, folder = 0, None
        while trials := batch(desk, self.at_once):
            for trial, job in self.placed(trials):
                print(f"job {job.name}: {trial.label}")
                count, folder = count + 1, trial.file.parent.parent
        print(f"{count} trials are in the queue.", f"See: duogen sweep status {folder}" if folder else "", flush=True)


def batch(desk: Desk, room: int) -> list[Trial]:
    """The trials that the desk has now, as many as there is room for."""
    trials: list[Trial] = []
    while len(trials) < room and (trial := desk.next()) is not None:
        trials.append(trial)
    return trials
