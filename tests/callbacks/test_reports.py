"""What a trial tells its sweep, and how it hears that it is to stop: at the very step, on every rank."""

import threading
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest

from contracts.cases import ALLOW, found
from contracts.test_resume import rows
from duogen.callbacks.guards import Stop
from duogen.callbacks.reports import Reports
from duogen.experiment import crew, trial
from duogen.experiment.crew import Crew
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan

GAN = next(case for case in found() if case.name == "gan")
STEPS = ("budget.steps=9", "log_every=2", "validate_every=3", "checkpoint_every=100")


class Line:
    """The sweep's end of the line: notes what comes, answers from a list, and may hang up."""

    def __init__(self, answers=(), lasts=100):
        self.answers, self.lasts, self.sent = list(answers), lasts, []

    def send(self, message):
        if len(self.sent) == self.lasts:
            raise BrokenPipeError
        self.sent.append(message)

    def recv(self):
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


def told(reports, row, validated=False, stopping=False, zero=True, last=9):
    """What one step, at whose end `row` stands closed, makes of the module."""
    module = SimpleNamespace(last_row=row, stopping=stopping, device="cpu")
    trainer = SimpleNamespace(is_global_zero=zero, world_size=1, global_step=row.get("step", 0), max_steps=last)
    if validated:
        reports.on_validation_end(trainer, module)
    else:
        reports.on_train_batch_end(trainer, module, None, None, 0)
    return module.stopping


def test_each_row_is_sent_once():
    line = Line()
    reports = Reports(line, Stop(1), prunable=False)
    rows = [{"step": 2, "x": 1.0}, {"step": 4, "x": 1.0}]
    for row in ({}, rows[0], rows[0], rows[1], rows[1]):
        assert told(reports, row) is False
    told(reports, rows[1], validated=True)
    assert line.sent == [(2, rows[0], False), (4, rows[1], False)]


@pytest.mark.parametrize("answer", [True, False])
def test_at_a_validation_it_is_asked_whether_to_go_on(answer):
    line, stop = Line([answer]), Stop(1)
    reports = Reports(line, stop, prunable=True)
    assert told(reports, {"step": 2}) is False
    assert told(reports, {"step": 3}, validated=True) is answer
    assert stop.pruned is answer
    assert [(step, awaits) for step, _, awaits in line.sent] == [(2, False), (3, True)]


def test_at_its_last_step_it_is_measured_and_not_pruned():
    line, stop = Line([True]), Stop(1)
    assert told(Reports(line, stop, prunable=True), {"step": 9}, validated=True, last=9) is False
    assert line.sent == [(9, {"step": 9}, False)]
    assert not stop.pruned


def test_a_trial_that_may_not_be_pruned_asks_nothing(tmp_path):
    line, stop = Line([True]), Stop(1)
    (tmp_path / "wish").touch()
    assert told(Reports(line, stop, False, tmp_path / "wish"), {"step": 3}, validated=True) is False
    assert line.sent == [(3, {"step": 3}, False)]
    assert not stop.pruned


@pytest.mark.parametrize("line", [Line(lasts=0), Line(lasts=1)], ids=["nobody listens", "nobody answers"])
def test_a_sweep_that_is_gone_asks_for_nothing(line):
    reports = Reports(line, Stop(1), prunable=True)
    assert told(reports, {"step": 3}, validated=True) is False
    sent = len(line.sent)
    assert told(reports, {"step": 6}, validated=True) is False
    assert told(reports, {"step": 8}) is False
    assert len(line.sent) == sent


def test_a_wish_on_a_file_is_heard_at_a_validation_alone(tmp_path):
    stop, wish = Stop(1), tmp_path / "wish"
    reports = Reports(None, stop, prunable=True, wish=wish)
    assert told(reports, {"step": 3}, validated=True) is False
    wish.touch()
    assert told(reports, {"step": 4}) is False
    assert not stop.pruned
    assert told(reports, {"step": 6}, validated=True) is True
    assert stop.pruned


def test_only_the_first_rank_reads_the_wish(tmp_path):
    (tmp_path / "wish").touch()
    assert told(Reports(None, Stop(1), True, tmp_path / "wish"), {"step": 3}, validated=True, zero=False) is False


def plan(tmp_path, *overrides, prunable=True):
    sweep = {"group": "g", "phase": "search", "label": "x", "prunable": prunable, "stop": str(tmp_path / "wish")}
    return Plan(GAN.config(*STEPS, *overrides), tmp_path / "run", allow=ALLOW, sweep=sweep)


def assert_pruned_at(step, plan):
    folder = RunFolder(plan.folder)
    record = folder.record()
    assert (record.status, record.steps, record.error, record.metrics) == ("pruned", step, None, ())
    assert record.updates == {"generator": step, "discriminator": step}
    assert rows(folder)[-1]["step"] == step
    assert any(name.startswith("validate/") for name in rows(folder)[-1])


def test_a_pruned_trial_stops_at_the_very_step(tmp_path):
    line = Line([False, True])
    one = plan(tmp_path)
    assert trial.run(one, line) == 0
    assert_pruned_at(6, one)
    assert [(step, awaits) for step, _, awaits in line.sent] == [
        (2, False), (3, True), (4, False), (6, True)
    ]  # fmt: skip
    assert [{**row, "time": None} for _, row, _ in line.sent] == [
        {**row, "time": None} for row in rows(RunFolder(one.folder))
    ]


def test_a_trial_without_a_line_is_pruned_by_a_file(tmp_path):
    (tmp_path / "wish").touch()
    one = plan(tmp_path)
    assert trial.run(one) == 0
    assert_pruned_at(3, one)


def test_a_trial_goes_on_when_its_sweep_is_gone(tmp_path):
    one = plan(tmp_path)
    assert trial.run(one, Line([False])) == 0
    assert RunFolder(one.folder).record().status == "done"


def test_a_single_run_has_nobody_to_tell(tmp_path):
    line = Line([True])
    one = Plan(GAN.config(*STEPS), tmp_path / "run", allow=ALLOW)
    assert trial.run(one, line) == 0
    assert line.sent == []


def test_two_ranks_stop_together_though_one_alone_was_told(tmp_path):
    ours, theirs = Pipe()
    heard = []

    def answer():
        while True:
            try:
                step, _, awaits = ours.recv()
            except EOFError:
                return
            heard.append(step)
            if awaits:
                ours.send(step == 6)

    listener = threading.Thread(target=answer)
    one = plan(tmp_path, "trainer=ddp_cpu")
    both = Crew(trial.run, [(one, theirs), (one, None)])
    listener.start()
    code = crew.run(both)
    theirs.close()
    listener.join(20)
    assert code == 0
    assert heard == [2, 3, 4, 6]
    assert_pruned_at(6, one)
