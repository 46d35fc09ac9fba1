"""Joins an agenda with the records: hands out what is left to run, and judges how it ended."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from duogen.errors import UserError
from duogen.experiment.folder import RunFolder
from duogen.experiment.summary import last_error
from duogen.experiment.verdict import settle
from duogen.records import FAILED, RunRecord
from duogen.sweep import ledger
from duogen.sweep.agenda import GOOD, Agenda, Outcome, Trial
from duogen.sweep.ledger import Claims
from duogen.sweep.plan import TRIALS, write

STALLED = 3  # times that a trial may be put off without a step forward


class Shown(Protocol):
    """A status screen."""

    def started(self, trial: Trial, slots: Sequence[str]) -> None: ...
    def heard(self, trial: Trial, step: int, row: Mapping[str, float]) -> None: ...
    def ended(self, trial: Trial, status: str, wall_s: float, error: str | None) -> None: ...
    def skipped(self, trial: Trial, status: str, values: Mapping[str, float]) -> None: ...
    def expect(self, n: int) -> None: ...
    def tick(self) -> None: ...
    def said(self, text: str) -> None: ...


@dataclass(frozen=True)
class Policy:
    """What a sweep makes of trials that fail.

    Args:
        fail_fast_after: as many trials that end one after another with the same error end the sweep; null: never.
        max_failure_rate: the share of trials neither done nor pruned, 0 to 1, above which the sweep has failed.
    """

    fail_fast_after: int | None
    max_failure_rate: float


@dataclass(frozen=True)
class Begin:
    """What stood before a trial's processes started: the length of its log, and the stamp of its record."""

    log: int
    record: tuple[int, int] | None


class Driver:
    """The desk of one command: a trial that it hands out is claimed, not over, and handed out once at a time.

    What another command runs is looked at again when nothing else is left. An out-of-memory trial comes back once,
    alone on its slot; a preempted one comes back as long as it gets on.
    """

    def __init__(self, agenda: Agenda, folder: Path, screen: Shown, policy: Policy) -> None:
        self.agenda, self.screen, self.policy = agenda, screen, policy
        self.claims = Claims(folder / TRIALS)
        self.again: deque[Trial] = deque()
        self.elsewhere: dict[str, Trial] = {}
        self.retried: set[str] = set()
        self.put_off: dict[str, list[int]] = {}
        self.begun: dict[str, Begin] = {}
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.stopping = self.stopped = False
        self.broken: str | None = None

    def next(self) -> Trial | None:
        """The next trial to run, claimed; what is over already is told to the agenda on the way."""
        if self.stopping:
            return None
        if self.again:
            return self.again.popleft()
        while (trial := self.agenda.next()) is not None:
            if self.taken(trial):
                return trial
        return next((trial for trial in list(self.elsewhere.values()) if self.taken(trial)), None)

    @property
    def open(self) -> bool:
        """Whether trials may come though none of ours is left: those that another command runs."""
        return not self.stopping and bool(self.elsewhere or self.again)

    def stop(self) -> None:
        self.stopping = self.stopped = True

    def taken(self, trial: Trial) -> bool:
        """Claims a trial that is to be run; the agenda is told of one that is over, or whose folder refuses."""
        if not self.claims.take(trial.key):
            self.elsewhere[trial.key] = trial
            return False
        self.elsewhere.pop(trial.key, None)
        try:
            record = self.opened(trial)
        except UserError as error:
            self.screen.said(f"{trial.label}: {error}")
            self.counts["failed"] += 1
            self.claims.give(trial.key)
            self.agenda.ended(trial, Outcome("failed", (), str(error)))
            return False
        if record is not None:
            outcome = self.close(trial, record)
            self.screen.skipped(trial, record.status, outcome.rows[-1][1] if outcome.rows else {})
        return record is None

    def opened(self, trial: Trial) -> RunRecord | None:
        """Makes a claimed trial ready to run; its record, where it is over and there is nothing to run."""
        fresh = trial.plan.config["fresh"] and trial.key not in self.begun
        record = RunFolder(trial.plan.folder).record()
        if not fresh and ledger.is_over(trial, record):
            return record
        if fresh:
            ledger.clear(trial)
        write(trial)
        trial.file.with_suffix(".stop").unlink(missing_ok=True)
        self.begin(trial)
        return None

    def begin(self, trial: Trial) -> None:
        """Notes how things stand before a trial's processes start."""
        log = self.log(trial)
        length = log.stat().st_size if log.exists() else 0
        self.begun[trial.key] = Begin(length, RunFolder(trial.plan.folder).stamp())

    def come_back(self, trial: Trial) -> None:
        """Lets a trial that has ended run once more, before all others."""
        self.begin(trial)
        self.again.append(trial)

    def log(self, trial: Trial) -> Path:
        """The file that takes what a trial prints."""
        return trial.file.with_suffix(".log")

    def tick(self) -> None:
        self.screen.tick()

    def started(self, trial: Trial, slots: Sequence[str]) -> None:
        self.screen.started(trial, slots)

    def heard(self, trial: Trial, step: int, row: Mapping[str, float]) -> bool:
        """Passes a row on; at a validation the agenda says whether the trial is to be pruned now."""
        self.screen.heard(trial, step, row)
        values = ledger.short(dict(row))
        return self.agenda.reported(trial, step, values) if values else False

    def ended(self, trial: Trial, code: int, timed_out: bool) -> None:
        """Completes the record, and decides whether the trial has ended or comes back."""
        if self.stopped and not timed_out and (code < 0 or code in (75, 130)):
            record = RunFolder(trial.plan.folder).record()
            self.screen.ended(trial, "interrupted", record.wall_s if record else 0.0, None)
            self.claims.give(trial.key)
            return
        begin = self.begun[trial.key]
        untouched = RunFolder(trial.plan.folder).stamp() == begin.record
        record = settle(trial.plan, code, timed_out, self.log(trial), begin.log, untouched)
        error = last_error(record.error) if record.error else None
        self.screen.ended(trial, record.status, record.wall_s, record.error)
        if record.status == "oom" and trial.key not in self.retried and not self.stopping:
            self.retried.add(trial.key)
            self.come_back(replace(trial, alone=True))
        elif record.status in ("preempted", "interrupted", "running") and self.gets_on(trial, record):
            self.come_back(trial)
        else:
            self.close(trial, record)
            self.watch_errors(record.status, error)

    def gets_on(self, trial: Trial, record: RunRecord) -> bool:
        """Whether a trial that was stopped from outside has done a step since it last was, in the last few times."""
        steps = self.put_off.setdefault(trial.key, [])
        steps.append(record.steps)
        return not self.stopping and (len(steps) < STALLED or len(set(steps[-STALLED:])) > 1)

    def close(self, trial: Trial, record: RunRecord) -> Outcome:
        """Tells the agenda of an end, and lets go of the trial."""
        self.counts[record.status] += 1
        self.claims.give(trial.key)
        outcome = ledger.outcome(trial, record)
        self.agenda.ended(trial, outcome)
        if self.agenda.expected is not None:
            self.screen.expect(self.agenda.expected)
        return outcome

    def watch_errors(self, status: str, error: str | None) -> None:
        """Ends a sweep whose trials fail one after another in the same way."""
        self.errors = [*self.errors, error or status] if status in FAILED else []
        limit = self.policy.fail_fast_after
        if limit is not None and len(self.errors) >= limit and len(set(self.errors[-limit:])) == 1:
            self.broken = f"{limit} trials failed in a row with the same error: {self.errors[-1]}"
            self.screen.said(f"{self.broken}; no more are begun (hydra.sweeper.fail_fast_after={limit})")
            self.stopping = True

    @property
    def failure_rate(self) -> float:
        """The share of trials among all that have ended which are neither done nor pruned: failed, or given up."""
        total = sum(self.counts.values())
        return (total - sum(self.counts[status] for status in GOOD)) / total if total else 0.0

    @property
    def exit_code(self) -> int:
        return 1 if self.broken or self.failure_rate > self.policy.max_failure_rate else 0
