"""A run's folder: what is its own, who holds it, and what it says after a crash."""

import json
import os
import signal
import subprocess
import sys

import pytest

from duogen.errors import UserError
from duogen.experiment.folder import OURS, RunFolder
from duogen.records import MetricValue, RunRecord

RECORD = RunRecord(
    key="k",
    keys=["k"],
    status="done",
    choices={"model": "gan"},
    overrides=["seed=3"],
    seed=3,
    metrics=(MetricValue("m", 0.5, "share", True, "test", "raw", {"seed": 3}),),
)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_a_record_and_a_config_come_back_as_they_were_written(folder):
    assert folder.record() is None
    assert folder.config() is None
    folder.write_record(RECORD)
    folder.write_config({"b": 1, "a": {"x": [1.5, None, True]}})
    assert json.dumps(folder.record().to_json()) == json.dumps(RECORD.to_json())
    assert folder.record().metrics == RECORD.metrics
    assert folder.config() == {"b": 1, "a": {"x": [1.5, None, True]}}
    assert json.loads((folder.path / "record.json").read_text())["schema"] == 1
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.yaml", "record.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"metrics": [{"x": 1}]}', '{"metrics": 3}', "\x00"])
def test_an_unreadable_record_is_refused(content, folder):
    folder.path.mkdir()
    (folder.path / "record.json").write_text(content)
    with pytest.raises(UserError, match=r"record\.json cannot be read"):
        folder.record()


@pytest.mark.parametrize("content", ["", "a: [", "3", "- a"])
def test_an_unreadable_config_is_refused(content, folder):
    folder.path.mkdir()
    (folder.path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        folder.config()


def test_before_a_run_has_locked_the_folder_everything_in_it_is_foreign(folder):
    assert folder.foreign() == []
    folder.path.mkdir()
    assert folder.foreign() == []
    (folder.path / "samples").mkdir()
    (folder.path / "thesis.tex").touch()
    assert folder.foreign() == ["samples", "thesis.tex"]
    (folder.path / "lock").touch()
    (folder.path / ".record.json.123").touch()
    assert folder.foreign() == ["thesis.tex"]


def test_clearing_removes_ours_and_nothing_else(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    for name in OURS:
        path = folder.path / name
        if "." in name or name == "lock":
            path.parent.mkdir(exist_ok=True)
            path.touch()
        elif name != "wandb":
            (path / "deep").mkdir(parents=True)
    (folder.path / "wandb").symlink_to(outside)
    (folder.path / ".metrics.csv.99").touch()
    (folder.path / "mine.txt").touch()
    folder.clear()
    assert sorted(path.name for path in folder.path.iterdir()) == ["lock", "mine.txt"]
    assert (outside / "kept").exists()


def test_the_record_goes_first_so_that_the_rest_is_never_taken_for_a_run(folder, monkeypatch):
    folder.write_record(RECORD)
    folder.checkpoints.mkdir()
    monkeypatch.setattr("shutil.rmtree", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        folder.clear()
    assert folder.record() is None
    assert folder.checkpoints.exists()


def test_one_holder_at_a_time_is_named_and_lets_go(folder):
    assert not folder.held()
    assert not folder.path.exists()
    with folder.lock():
        assert folder.held()
        with pytest.raises(UserError, match=f"in use by process {os.getpid()}"), RunFolder(folder.path).lock():
            pytest.fail("held twice")
    assert not folder.held()
    with pytest.raises(ZeroDivisionError), folder.lock():
        _ = 1 / 0
    assert not folder.held()


HOLD = (
    "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
)


def test_a_killed_holder_holds_nothing(folder):
    folder.path.mkdir()
    command = [sys.executable, "-c", HOLD, str(folder.path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert folder.held()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not folder.held()


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="cannot be used"), RunFolder(path).lock():
            pytest.fail("locked")
