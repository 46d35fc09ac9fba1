"""How a trial ends when a signal comes before or after its training, and what its record then says."""

import os
import signal
import threading
from dataclasses import replace

import pytest

from contracts.cases import ALLOW, MLP, SMALL, found
from duogen.cli import main
from duogen.errors import UserError
from duogen.experiment import assemble, trial
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan

GAN_CASE = next(case for case in found() if case.name == "gan")
ENDS = [(signal.SIGTERM, 75, "preempted"), (signal.SIGUSR2, 75, "preempted"), (signal.SIGINT, 130, "interrupted")]


def plan(tmp_path, *overrides):
    return Plan(GAN_CASE.config("budget.steps=6", "log_every=2", *overrides), tmp_path / "run", allow=ALLOW)


@pytest.mark.parametrize(("number", "code", "status"), ENDS)
@pytest.mark.parametrize("place", ["trainer", "measured"])
def test_a_signal_outside_training_is_no_failure_and_the_run_continues(
    number, code, status, place, tmp_path, monkeypatch
):
    owner = assemble if place == "trainer" else trial
    original = getattr(owner, place)

    def killed(*arguments):
        os.kill(os.getpid(), number)
        return original(*arguments)

    monkeypatch.setattr(owner, place, killed)
    folder = RunFolder(tmp_path / "run")
    assert trial.run(plan(tmp_path)) == code
    assert folder.record().status == status
    assert folder.record().metrics == ()
    monkeypatch.undo()
    assert trial.run(plan(tmp_path)) == 0
    record = folder.record()
    assert (record.status, record.steps, record.updates) == ("done", 6, {"generator": 6, "discriminator": 6})
    assert len(record.metrics) == 6


@pytest.mark.parametrize(("number", "code", "status"), ENDS)
def test_a_signal_to_a_process_that_begins_deaf_is_no_failure(number, code, status, tmp_path):
    """What a crew's template does to its children: the signal waits until the run owns it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (number,))
    try:
        signal.pthread_kill(threading.get_ident(), number)  # other threads of a test's process are not deaf
        assert trial.run(plan(tmp_path)) == code
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    record = RunFolder(tmp_path / "run").record()
    assert (record.status, record.steps, record.failures, record.error) == (status, 0, 0, None)


def test_a_checkpoint_beyond_the_steps_asked_for_is_refused_and_kept(tmp_path):
    trial.run(plan(tmp_path))
    before = (tmp_path / "run" / "record.json").read_bytes()
    with pytest.raises(UserError, match="beyond the 4"):
        trial.run(plan(tmp_path, "budget.steps=4"))
    assert (tmp_path / "run" / "record.json").read_bytes() == before


@pytest.mark.parametrize(
    ("averaged", "weights"), [((), "raw"), (("discriminator",), "raw"), (("generator", "discriminator"), "ema")]
)
def test_the_record_states_the_weights_that_were_measured(averaged, weights, tmp_path):
    trial.run(plan(tmp_path, *[f"optimizers.{player}.ema.decay=0.9" for player in averaged]))
    measured = {value.weights for value in RunFolder(tmp_path / "run").record().metrics}
    assert measured == {weights, "real"}


def test_checkpoints_of_both_halves_stand_in_the_record(tmp_path):
    settings = ("checkpoint_every=2", "validate_every=2", "keep=2", "monitor=mode_entropy_gap")
    trial.run(plan(tmp_path, *settings))
    trial.run(plan(tmp_path, *settings, "budget.steps=7"))
    folder = RunFolder(tmp_path / "run")
    named = {file["path"] for file in folder.record().checkpoints}
    assert named == {f"checkpoints/{path.name}" for path in folder.checkpoints.iterdir()}


def test_a_schedule_that_follows_a_value_is_held_to_its_direction(tmp_path):
    for settings, said in (
        (("scheduler=plateau",), "monitor is null"),
        (("scheduler=plateau", "monitor=modes_found"), "higher is better"),
    ):
        with pytest.raises(UserError, match=said):
            trial.run(plan(tmp_path, *settings))
    assert not (tmp_path / "run").exists()
    assert trial.run(plan(tmp_path, "scheduler=plateau", "monitor=modes_found", "scheduler.mode=max")) == 0


def test_what_a_killed_save_left_behind_is_removed(tmp_path):
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / ".step-3.ckpt.123").write_bytes(b"half")
    trial.run(plan(tmp_path))
    assert [path.name for path in checkpoints.iterdir() if path.name.startswith(".")] == []


def test_a_run_that_takes_too_long_is_stopped_says_so_and_can_be_continued(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["train", *SMALL, *MLP, "latent_dim=3", "budget.steps=1000000", "log_every=1000", "run_dir=run"]
    assert main([*command, "trial.timeout=2", "trial.grace=60"]) == 1
    record = RunFolder(tmp_path / "run").record()
    assert (record.status, record.error, record.failures) == ("timeout", "stopped after 2 s (trial.timeout)", 1)
    assert "timeout at step" in capsys.readouterr().out
    assert main([*command, "trial.timeout=2.5", "trial.grace=60"]) == 1
    again = RunFolder(tmp_path / "run").record()
    assert (again.status, again.failures, again.key) == ("timeout", 2, record.key)
    assert again.steps >= record.steps


def test_a_trial_says_what_it_belongs_to(tmp_path):
    told = {
        "group": "mine",
        "phase": "wide",
        "label": "width=8,seed=0",
        "prunable": False,
        "stop": str(tmp_path / "stop"),
    }
    one = plan(tmp_path)
    assert trial.run(replace(one, sweep=told, code={"git": "abc", "python": "3.11.0"})) == 0
    record = RunFolder(tmp_path / "run").record()
    assert record.sweep == told
    assert record.provenance["git"] == "abc"
    assert "earlier" not in record.provenance
    assert (
        trial.run(replace(plan(tmp_path, "budget.steps=7"), sweep=told, code={"git": "def", "python": "3.11.0"})) == 0
    )
    found = RunFolder(tmp_path / "run").record().provenance
    assert (found["git"], [past["git"] for past in found["earlier"]]) == ("def", ["abc"])
