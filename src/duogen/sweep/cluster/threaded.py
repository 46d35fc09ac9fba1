"""Any Hydra launcher as an engine: it blocks until its batch is done, so each batch has a thread of its own."""

import threading
from collections.abc import Sequence
from pathlib import Path

from hydra.plugins.launcher import Launcher

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.sweep.agenda import Trial
from duogen.sweep.cluster.asking import asking
from duogen.sweep.cluster.batches import Job


class Batch(threading.Thread):
    """One call of the launcher."""

    def __init__(self, launcher: Launcher, trials: Sequence[Trial], index: int) -> None:
        super().__init__(daemon=True)
        self.launcher, self.trials, self.index = launcher, trials, index
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.launcher.launch([asking(trial) for trial in self.trials], self.index)
        except Exception as error:
            self.error = UserError(
                f"{type(self.launcher).__name__} gave up: {error}", "trials that it can launch", "see its settings"
            )


class ThreadedJob:
    """A trial of a batch: over when the launcher is back, or has given up, and no process holds the run folder."""

    name: str | None = None

    def __init__(self, batch: Batch, trial: Trial) -> None:
        self.batch, self.folder = batch, RunFolder(trial.plan.folder)

    def refused(self) -> Exception | None:
        return self.batch.error

    def output(self) -> Path | None:
        return None

    def over(self) -> bool:
        return not self.batch.is_alive() and not self.folder.held()


class Threaded:
    """Trials go to the launcher's `launch`; what it returns says less than the trials' own notes and is not read."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher

    def send(self, trials: Sequence[Trial], index: int) -> list[ThreadedJob]:
        batch = Batch(self.launcher, trials, index)
        batch.start()
        return [ThreadedJob(batch, trial) for trial in trials]

    def found(self, name: str) -> Job | None:
        return None

    def cancel(self, jobs: Sequence[Job]) -> None:
        """A launcher has no way to be stopped: its jobs end with this process, if they are its children."""
