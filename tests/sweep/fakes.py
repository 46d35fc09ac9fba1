"""Trials that nobody composed, and a screen that remembers what it was shown."""

from dataclasses import replace

from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan
from duogen.records import RunRecord
from duogen.sweep.agenda import Listed, Trial
from duogen.sweep.plan import TRIALS

TRIAL = {"timeout": None, "grace": 30, "attempts": 3}


def trial(folder, key, seed=0, phase="grid", setting=None, **config):
    """A trial of `folder`, with a run folder of its own and nothing in it."""
    whole = {"seed": seed, "fresh": False, "trainer": {"devices": 1, "max_steps": 9}, "trial": TRIAL} | config
    file = folder / TRIALS / f"{key}.json"
    return Trial(Plan(whole, folder / key), file, {"generator": key} if setting is None else setting, seed, phase)


def end(trial, status, error=None, steps=5, failures=0, rows=""):
    """Leaves the record, and the rows, that a run which ended so would have left."""
    folder = RunFolder(trial.plan.folder)
    folder.path.mkdir(parents=True, exist_ok=True)
    record = RunRecord(trial.key, [trial.key], "running", {}, [], trial.seed, steps=steps, wall_s=2.5)
    folder.write_record(replace(record, status=status, error=error, failures=failures))
    folder.rows.write_text(rows)


class Screen:
    """All that it was shown, in order, by the trials' keys."""

    def __init__(self):
        self.seen = []

    def started(self, trial, slots):
        self.seen.append(("started", trial.key, *slots))

    def heard(self, trial, step, row):
        self.seen.append(("heard", trial.key, step))

    def ended(self, trial, status, wall_s, error):
        self.seen.append(("ended", trial.key, status))

    def skipped(self, trial, status, values):
        self.seen.append(("skipped", trial.key, status, dict(values)))

    def expect(self, n):
        self.seen.append(("expect", n))

    def tick(self):
        self.seen.append(("tick",))

    def said(self, text):
        self.seen.append(("said", text))

    def of(self, kind):
        return [rest for first, *rest in self.seen if first == kind]


class Agenda(Listed):
    """A list that notes what it is told, and prunes at the steps in `prune`."""

    def __init__(self, trials, prune=()):
        super().__init__(trials)
        self.prune, self.told, self.heard = prune, [], []

    def ended(self, trial, outcome):
        self.told.append((trial.key, outcome.status))

    def reported(self, trial, step, values):
        self.heard.append((trial.key, step, dict(values)))
        return step in self.prune
