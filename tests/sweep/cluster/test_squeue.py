import pytest

from duogen.sweep.cluster import squeue


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Slurm's commands as scripts of ours: squeue prints a file, fails where there is none, and counts its calls."""
    for name in ("squeue", "scontrol", "scancel"):
        script = tmp_path / name
        body = f'cat "{tmp_path}/listed"' if name == "squeue" else 'test "$2" != 13'
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/calls"\n{body}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def calls(folder):
    return (folder / "calls").read_text().splitlines()


def test_a_job_is_there_while_it_is_listed(commands):
    (commands / "listed").write_text("12_0\n12_1\n15\n")
    queue = squeue.Queue(every_s=0.0)
    assert [queue.holds(job) for job in ("12_0", "12_2", "15", "1")] == [True, False, True, False]


def test_the_queue_is_asked_now_and_then_and_anew_after_a_submission(commands):
    (commands / "listed").write_text("12\n")
    queue = squeue.Queue(every_s=3600.0)
    assert queue.holds("12")
    (commands / "listed").write_text("13\n")
    assert queue.holds("12")
    assert len(calls(commands)) == 1
    queue.forget()
    assert not queue.holds("12")
    assert calls(commands) == ["squeue --me --noheader --array --format=%i"] * 2


def test_silence_is_no_end(commands):
    assert squeue.Queue(every_s=0.0).holds("12")
    assert squeue.state("12") is None


@pytest.mark.parametrize(("printed", "state"), [("RUNNING\n", "RUNNING"), ("", None)])
def test_the_state_of_a_job(commands, printed, state):
    (commands / "listed").write_text(printed)
    assert squeue.state("12_3") == state
    assert calls(commands) == ["squeue --noheader --jobs=12_3 --format=%T"]


def test_a_requeue_may_be_refused(commands):
    assert squeue.requeue("12_3")
    assert not squeue.requeue("13")
    assert calls(commands) == ["scontrol requeue 12_3", "scontrol requeue 13"]


def test_all_jobs_are_cancelled_at_once_and_none_without_a_command(commands):
    squeue.cancel([])
    squeue.cancel(["12_0", "15"])
    assert calls(commands) == ["scancel 12_0 15"]


def test_a_machine_without_slurm_answers_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert squeue.slurm("squeue") is None
