"""What the same command does to a folder: begin, continue, report or refuse, and what an interruption leaves."""

import fcntl
import json
import os
import shutil
import signal
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from callbacks.test_trackers import events, no_login, table, wandb_records  # noqa: F401
from contracts.cases import MLP, SMALL
from contracts.test_resume import assert_equal, final, rows
from duogen.callbacks.records import Records
from duogen.cli import main
from duogen.compose import compose
from duogen.experiment import begin
from duogen.experiment.folder import RunFolder

RING = [*SMALL, *MLP, "latent_dim=3"]
SENTENCE = [
    *RING,
    "adversarial=wasserstein",
    "penalty=[gradient_penalty]",
    "turns=five_to_one",
    "budget.steps=20",
    "log_every=1",
    "checkpoint_every=10",
]
SPARSE = [*RING, "budget.steps=20", "log_every=5", "validate_every=7", "checkpoint_every=10"]


composed = cache(lambda overrides, config_dir: compose(overrides, config_dir))


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A folder of the test's own; what takes time elsewhere is spared, and every signal handler is given back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("duogen.complete.compose", lambda given, folder, _: deepcopy(composed(tuple(given), folder)))
    monkeypatch.setattr("duogen.callbacks.samples.picture", lambda *_: Image.new("RGB", (3, 2)))
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    assert {number: signal.getsignal(number) for number in numbers} == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of SPARSE, in a folder of its own."""
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    assert train(*SPARSE, f"run_dir={folder.path}") == 0
    return folder


@pytest.fixture
def here(whole):
    """A copy of that run, as run_dir=here."""
    shutil.copytree(whole.path, "here")
    return RunFolder(Path("here").absolute())


@pytest.fixture
def once_at(monkeypatch):
    """Does something once, when the given step and its row are over."""

    def install(step, action):
        original, waiting = Records.on_train_batch_end, [action]

        def hook(self, trainer, *rest):
            original(self, trainer, *rest)
            if trainer.global_step == step and waiting:
                waiting.pop()()

        monkeypatch.setattr(Records, "on_train_batch_end", hook)

    return install


def raising(error):
    def action():
        raise error

    return action


def sending(number):
    return lambda: os.kill(os.getpid(), number)


def train(*overrides):
    return main(["train", *overrides])


def only_run():
    (record,) = Path("runs/gan-ring").absolute().glob("*/record.json")
    return RunFolder(record.parent)


def snapshot(folder):
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_the_sentence_holds(folder):
    record = folder.record()
    assert (record.status, record.steps, record.error) == ("done", 20, None)
    assert record.updates == {"discriminator": 20, "generator": 4}
    names = sorted(path.name for path in folder.checkpoints.iterdir())
    assert names == ["last.ckpt", "step-10.ckpt", "step-20.ckpt"]
    assert folder.last.samefile(folder.checkpoints / "step-20.ckpt")
    assert [row["step"] for row in rows(folder)] == list(range(1, 21))


def test_twenty_steps_of_a_wasserstein_gan():
    assert train(*SENTENCE) == 0
    assert_the_sentence_holds(only_run())


def history(folder):
    (path,) = (folder.path / "wandb").glob("offline-run-*/*.wandb")
    found = [record for record in wandb_records(path) if record.HasField("history")]
    items = [{".".join(item.nested_key) or item.key: item.value_json for item in r.history.item} for r in found]
    return [{name: json.loads(value) for name, value in row.items()} for row in items]


def test_after_an_interruption_every_tracker_shows_each_step_once(once_at, tmp_path):
    once_at(13, raising(OSError("a disk is gone")))
    command = [*[setting for setting in SENTENCE if setting != "logger=none"], "logger=[csv,tensorboard,wandb]"]
    assert train(*command) == 1
    broken = only_run().record()
    assert (broken.status, broken.steps) == ("failed", 10)
    assert "a disk is gone" in broken.error
    assert train(*command) == 0
    folder = only_run()
    assert_the_sentence_holds(folder)
    expected = [(row["step"], row["train/discriminator/adversarial"]) for row in rows(folder)]
    name = "train/discriminator/adversarial"
    assert [(int(row["step"]), float(row[name])) for row in table(folder.path)] == expected
    scalars = events(folder.path).Scalars(name)
    assert [event.step for event in scalars] == list(range(1, 21))
    assert [event.value for event in scalars] == pytest.approx([value for _, value in expected], rel=1e-6)
    assert [(row["_step"], row[name]) for row in history(folder) if name in row] == expected
    assert folder.record().tracker["id"].startswith(folder.record().key)

    uninterrupted = RunFolder(tmp_path / "whole")
    assert train(*SENTENCE, f"run_dir={uninterrupted.path}") == 0
    assert rows(uninterrupted) == rows(folder)
    assert uninterrupted.record().metrics == folder.record().metrics


@pytest.mark.parametrize(
    ("action", "code", "status"),
    [
        (sending(signal.SIGTERM), 75, "preempted"),
        (sending(signal.SIGUSR1), 75, "preempted"),
        (sending(signal.SIGINT), 130, "interrupted"),
    ],
    ids=["SIGTERM", "SIGUSR1", "SIGINT"],
)
def test_a_signal_saves_the_step_reached_and_the_same_command_continues(action, code, status, once_at, whole, capsys):
    once_at(13, action)
    assert train(*SPARSE) == code
    folder = only_run()
    record = folder.record()
    assert (record.status, record.steps, record.metrics) == (status, 13, ())
    assert record.checkpoints[-1]["step"] == 13
    assert final(folder)["step"] == 13
    assert [row["step"] for row in rows(folder)] == [5, 7, 10]
    assert f"{status} at step 13" in capsys.readouterr().out
    assert train(*SPARSE) == 0
    assert [row["step"] for row in rows(folder)] == [5, 7, 10, 14, 15, 20]
    assert rows(whole) == rows(folder)
    assert_equal(final(whole), final(folder))


def test_a_signal_in_the_last_step_leaves_a_finished_run(once_at):
    once_at(20, sending(signal.SIGTERM))
    assert train(*SPARSE) == 0
    assert only_run().record().status == "done"


def test_a_second_interrupt_ends_at_once_and_continues_from_the_last_save(once_at):
    once_at(13, lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)])
    assert train(*SPARSE) == 130
    record = only_run().record()
    assert (record.status, record.steps) == ("interrupted", 10)
    assert train(*SPARSE) == 0
    assert [row["step"] for row in rows(only_run())] == [5, 7, 10, 14, 15, 20]


def test_a_finished_run_is_shown_and_not_touched(capsys):
    assert train(*SPARSE) == 0
    before = snapshot(only_run().path)
    capsys.readouterr()
    assert train(*SPARSE) == 0
    shown = capsys.readouterr()
    assert "is done" in shown.out
    assert "modes_found" in shown.out
    assert shown.err == ""
    assert train(*SPARSE, "log_every=3", "keep=9", "data.workers=1", "logger=[csv]") == 0
    assert snapshot(only_run().path) == before


NAN = [*RING, "optimizer=sgd", "optimizer.lr=1e30", "budget.steps=20", "log_every=5", "checkpoint_every=10"]


def test_nan_is_named_refused_and_started_over_with_fresh(capsys):
    assert train(*NAN) == 1
    record = only_run().record()
    assert record.status == "nan"
    player, _, rest = record.error.partition("'s ")
    assert player in ("discriminator", "generator")
    assert rest.startswith("adversarial is not finite")
    assert 1 <= int(rest.rpartition(" ")[2]) <= 5
    before = snapshot(only_run().path)
    capsys.readouterr()
    assert train(*NAN) == 2
    assert "fresh=true" in capsys.readouterr().err
    assert snapshot(only_run().path) == before
    assert train(*NAN, "fresh=true") == 1
    assert only_run().record().status == "nan"
    assert snapshot(only_run().path) != before


def test_fresh_starts_over_and_leaves_what_is_not_the_runs(once_at, here):
    (here.path / "notes.txt").write_text("mine")
    first = here.record()
    once_at(3, sending(signal.SIGTERM))
    assert train(*SPARSE, "run_dir=here", "fresh=true") == 75
    second = here.record()
    assert (second.status, second.steps) == ("preempted", 3)
    assert second.tracker != first.tracker
    assert sorted(path.name for path in here.checkpoints.iterdir()) == ["last.ckpt", "step-3.ckpt"]
    assert (here.path / "notes.txt").read_text() == "mine"


def test_fresh_clears_nothing_when_the_new_run_is_refused(here):
    before = snapshot(here.path)
    for mistake in ("optimizer.lr=-1.0", "data.batch_size=5000", "generator.latent_dim=7"):
        assert train(*SPARSE, "run_dir=here", "fresh=true", mistake) == 2
        assert snapshot(here.path) == before


def test_other_settings_in_the_same_folder_are_refused_with_each_difference_once(capsys, here):
    before = snapshot(here.path)
    capsys.readouterr()
    assert train(*SPARSE, "run_dir=here", "seed=1", "optimizer.lr=0.5", "generator.width=9") == 2
    error = capsys.readouterr().err
    assert "(seed: 0 there, 1 here; generator.width: 8 there, 9 here; optimizer.lr: 0.0002 there, 0.5 here)" in error
    assert "fresh=true" in error
    assert train(*SPARSE, "run_dir=here", "budget.steps=30") == 2
    assert "trainer.max_steps: 20 there, 30 here" in capsys.readouterr().err
    assert snapshot(here.path) == before


@pytest.mark.parametrize("more", [[], ["fresh=true"]])
@pytest.mark.parametrize("names", [["thesis.tex"], ["samples/cat.png"], ["config.yaml"], ["lock", "thesis.tex"]])
def test_a_folder_with_other_files_is_refused_and_untouched(names, more, tmp_path, capsys):
    for name in names:
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    before = snapshot(tmp_path / "mine")
    assert train(*SPARSE, "run_dir=mine", *more) == 2
    assert "holds other files" in capsys.readouterr().err
    assert snapshot(tmp_path / "mine") == before


def test_a_folder_that_cannot_be_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    assert train(*SPARSE, "run_dir=file/below") == 2
    assert "cannot be used" in capsys.readouterr().err
    assert train(*SPARSE, "run_dir=file") == 2


@pytest.mark.parametrize("more", [[], ["fresh=true"], ["fresh=true", "trainer.devices=2"]])
def test_a_folder_that_a_living_process_holds_is_refused(more, once_at, monkeypatch, capsys):
    monkeypatch.setattr(begin, "run", lambda *_: pytest.fail("ranks were launched"))
    once_at(13, sending(signal.SIGTERM))
    assert train(*SPARSE, "run_dir=here") == 75
    folder = RunFolder(Path("here"))
    before = snapshot(folder.path)
    with (folder.path / "lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert folder.held()
        assert train(*SPARSE, "run_dir=here", *more) == 2
    assert f"in use by process {os.getpid()}" in capsys.readouterr().err
    assert snapshot(folder.path) == before
    assert not folder.held()


def edited(folder, **changes):
    path = folder.path / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_record_that_says_running_without_a_holder_is_continued(once_at):
    once_at(13, sending(signal.SIGTERM))
    assert train(*SPARSE) == 75
    edited(only_run(), status="running")
    assert train(*SPARSE) == 0
    assert (only_run().record().status, only_run().record().steps) == ("done", 20)


def test_a_kill_while_the_end_was_measured_loses_nothing(here, whole):
    edited(here, status="running", metrics=[])
    assert train(*SPARSE, "run_dir=here") == 0
    record, expected = here.record(), whole.record()
    assert (record.status, record.steps, record.updates) == ("done", 20, expected.updates)
    assert record.metrics == expected.metrics
    assert rows(here) == rows(whole)


def test_a_kill_before_the_first_config_was_written_begins_anew(once_at):
    once_at(13, sending(signal.SIGTERM))
    assert train(*SPARSE) == 75
    folder = only_run()
    (folder.path / "config.yaml").unlink()
    (folder.path / ".record.json.4711").write_text("half")
    assert train(*SPARSE) == 0
    assert folder.record().status == "done"
    assert [row["step"] for row in rows(folder)] == [5, 7, 10, 14, 15, 20]
    assert not (folder.path / ".record.json.4711").exists()


def test_a_kill_while_clearing_leaves_nothing_that_is_taken_for_a_run(once_at):
    once_at(13, sending(signal.SIGTERM))
    assert train(*SPARSE, "run_dir=here") == 75
    folder = RunFolder(Path("here").absolute())
    (folder.path / "record.json").unlink()
    assert train(*SPARSE, "run_dir=here", "seed=5") == 0
    assert (folder.record().seed, folder.record().steps) == (5, 20)
    assert [row["step"] for row in rows(folder)] == [5, 7, 10, 14, 15, 20]
    assert torch.load(folder.last, weights_only=True)["config"]["seed"] == 5


def test_an_unreadable_record_or_config_is_refused(capsys, here):
    (here.path / "config.yaml").write_text("[1, 2")
    assert train(*SPARSE, "run_dir=here") == 2
    (here.path / "record.json").write_text("{")
    assert train(*SPARSE, "run_dir=here") == 2
    assert train(*SPARSE, "run_dir=here", "fresh=true") == 2
    error = capsys.readouterr().err
    assert error.count("cannot be read") == 3
    assert "Traceback" not in error


LONGER = [*SPARSE, "budget.steps=31"]


def test_resume_with_more_steps_goes_on_and_answers_to_both_keys(tmp_path, capsys):
    assert train(*SPARSE) == 0
    folder = only_run()
    first = folder.record().key
    assert train(f"resume={folder.path}", "budget.steps=31") == 0
    record = only_run().record()
    assert (record.status, record.steps) == ("done", 31)
    assert record.keys == [first, record.key]
    assert record.key != first
    assert [row["step"] for row in rows(folder)] == [5, 7, 10, 14, 15, 20, 21, 25, 28, 30, 31]
    longer = RunFolder(tmp_path / "longer")
    assert train(*LONGER, f"run_dir={longer.path}") == 0
    assert_equal(final(longer)["module"], final(folder)["module"])
    before = snapshot(folder.path)
    for command in (SPARSE, LONGER, [*SPARSE, "resume=last"]):
        capsys.readouterr()
        assert train(*command) == 0
        assert "is done" in capsys.readouterr().out
    assert snapshot(folder.path) == before
    assert only_run().path == folder.path


def test_resume_last_takes_the_latest_run_and_refuses_where_there_is_none(once_at, capsys):
    assert train(*RING, "resume=last") == 2
    assert "finds no run" in capsys.readouterr().err
    assert not Path("runs").exists()
    assert train(*SPARSE) == 0
    once_at(13, sending(signal.SIGTERM))
    assert train(*SPARSE, "seed=1") == 75
    assert train("data=ring", *MLP, "resume=last") == 0
    records = [RunFolder(path.parent).record() for path in Path("runs").glob("*/*/record.json")]
    assert sorted((record.seed, record.status, record.steps) for record in records) == [
        (0, "done", 20),
        (1, "done", 20),
    ]


def test_resume_takes_the_first_settings_before_it_judges_the_new_ones():
    assert train(*SENTENCE, "run_dir=here") == 0
    assert train("resume=here", "adversarial=wasserstein", "generator.depth=2", "budget.steps=21") == 0
    assert RunFolder(Path("here").absolute()).record().steps == 21


def test_resume_refuses_other_settings(capsys, here):
    capsys.readouterr()
    assert train("resume=here", "optimizer.lr=0.5") == 2
    assert "optimizer.lr: 0.0002 there, 0.5 here" in capsys.readouterr().err


def test_a_run_begun_with_fresh_is_continued_and_not_started_over():
    assert train(*SPARSE, "run_dir=here", "fresh=true") == 0
    assert train("resume=here", "budget.steps=25") == 0
    folder = RunFolder(Path("here").absolute())
    assert folder.record().steps == 25
    assert [row["step"] for row in rows(folder)] == [5, 7, 10, 14, 15, 20, 21, 25]


def test_a_longer_run_that_was_interrupted_goes_on_to_its_own_end(once_at, here):
    once_at(25, sending(signal.SIGTERM))
    assert train("resume=here", "budget.steps=31") == 75
    assert train("resume=here") == 0
    assert (here.record().status, here.record().steps) == ("done", 31)


@pytest.mark.parametrize("other", ["fresh=true", "run_dir=there"])
def test_resume_contradicts_another_beginning(other, capsys, here):
    before = snapshot(here.path)
    assert train("resume=here", other) == 2
    assert "one of them" in capsys.readouterr().err
    assert snapshot(here.path) == before


def test_another_number_of_ranks_is_another_run(monkeypatch, capsys, here):
    monkeypatch.setattr(begin, "run", lambda *_: pytest.fail("ranks were launched"))
    assert train(*SPARSE, "run_dir=here", "trainer.devices=2") == 2
    assert "trainer.devices: 1 there, 2 here" in capsys.readouterr().err


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_ranks_that_srun_has_started_each_runs_its_own_and_the_first_speaks(rank, monkeypatch, capsys):
    placed = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NODEID": "0",
              "SLURM_JOB_NODELIST": "vm", "SLURM_JOB_ID": "3", "SLURM_CPUS_PER_TASK": "5"}  # fmt: skip
    for name, value in placed.items():
        monkeypatch.setenv(name, value)
    begun = []

    def crew(work, shares, environment, threads, timeout=None, grace=30.0):
        begun.append((len(shares), environment["RANK"], environment["WORLD_SIZE"], threads, timeout))
        return SimpleNamespace(timed_out=False)

    monkeypatch.setattr(begin, "meet", lambda placed: begun.append("met"))
    monkeypatch.setattr(begin, "Crew", crew)
    monkeypatch.setattr(begin, "run", lambda crew: -9)
    command = [*SPARSE, "run_dir=here", "trainer=slurm_ddp", "trainer.accelerator=cpu", "trainer.nodes=1",
               "trainer.devices=2", "trial.timeout=7"]  # fmt: skip
    assert train(*command) == 1
    assert begun == ["met", (1, rank, "2", 5, 7 if rank == "0" else None)]
    assert ("here" in capsys.readouterr().out) is (rank == "0")


@pytest.mark.parametrize(("rank", "left"), [("0", False), ("1", True)])
def test_the_first_rank_clears_the_folder_before_the_others_come(rank, left, monkeypatch):
    assert train(*SPARSE, "run_dir=here") == 0
    placed = {"RANK": rank, "WORLD_SIZE": "2"}
    seen = []
    monkeypatch.setattr(begin, "rank_environment", lambda environ: placed)
    monkeypatch.setattr(begin, "meet", lambda placed: seen.append(Path("here/record.json").exists()))
    monkeypatch.setattr(begin, "run", lambda crew: 0)
    assert train(*SPARSE, "run_dir=here", "trainer.devices=2", "fresh=true") == 0
    assert seen == [left]


def test_srun_with_another_number_of_tasks_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(begin, "rank_environment", lambda environ: {"RANK": "0", "WORLD_SIZE": "3"})
    assert train(*SPARSE, "run_dir=here", "trainer.devices=2") == 2
    assert "srun has started 3 tasks for 2 ranks" in capsys.readouterr().err


@pytest.mark.parametrize("mistake", ["data=mnist", "data.batch_size=200000", "data.shape=[3]"])
def test_ranks_are_not_started_for_a_mistake(mistake, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr(begin, "run", lambda *_: pytest.fail("ranks were launched"))
    assert train("data=ring", *MLP, "logger=none", mistake, "trainer=ddp_cpu") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
