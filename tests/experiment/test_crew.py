"""How the launch ends when its ranks do."""

import json
import os
import signal
import threading
import time
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from contracts import rank_ends
from duogen.experiment import crew
from duogen.experiment.crew import Crew
from duogen.experiment.crew import run as crew_run
from experiment import crew_work


@pytest.mark.parametrize("code", [0, 75, 130])
def test_an_agreed_end_leaves_the_slower_rank_its_time(code, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "KILLED_GRACE_S", 0.1)
    monkeypatch.setattr(crew, "FAILED_GRACE_S", 0.1)
    assert crew.launch(rank_ends.slow_first_rank, 2, code, tmp_path) == code
    assert (tmp_path / "written").exists()


def test_a_failed_rank_ends_the_launch(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "FAILED_GRACE_S", 0.1)
    assert crew.launch(rank_ends.endless_first_rank, 2, tmp_path) == 1
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_users_mistake_is_said_by_rank_0_and_gives_2(capsys):
    assert [crew.answered(rank_ends.mistaken, (), speaks) for speaks in (True, False)] == [2, 2]
    assert capsys.readouterr().err.count("duogen: x=1") == 1
    assert crew.launch(rank_ends.mistaken, 2) == 2


def test_ranks_know_their_place(tmp_path):
    assert crew.launch(rank_ends.note_environment, 3, tmp_path) == 0
    noted = [(tmp_path / str(rank)).read_text().split() for rank in range(3)]
    assert [words[:2] for words in noted] == [["0", "3"], ["1", "3"], ["2", "3"]]
    assert len({words[2] for words in noted}) == 3
    assert "RANK" not in os.environ


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read(path):
    until(path.exists)
    return path.read_text()


def gone(pid):
    """Whether a process has ended; one that nobody has buried yet has."""
    return not rank_ends.alive(pid)


def end(crew):
    """The exit code of a crew that has been started, by the way that any watcher goes."""
    while (code := crew.poll()) is None:
        assert wait(crew.sentinels, timeout=min(20.0, crew.patience() or 20.0)) or crew.patience() is not None
    return code


def test_a_timeout_tells_then_kills_and_spares_no_child(tmp_path):
    crew = Crew(crew_work.stubborn, [(str(tmp_path),)], timeout=600, grace=0.2)
    crew.start()
    child = int(read(tmp_path / "pid"))
    assert crew.poll() is None
    assert 590 < crew.patience() <= 600
    crew.ends = time.monotonic()
    assert crew.patience() == 0
    assert crew.poll() is None
    assert crew.timed_out
    assert crew.poll() is None
    assert 0 < crew.patience() <= 0.2
    assert end(crew) == -signal.SIGKILL
    until(lambda: gone(child))


def test_a_run_that_heeds_its_timeout_is_not_killed(tmp_path):
    crew = Crew(crew_work.polite, [(str(tmp_path),)], timeout=600, grace=600)
    crew.start()
    read(tmp_path / "pid")
    crew.ends = time.monotonic()
    assert (end(crew), crew.timed_out) == (75, True)


def test_a_signal_before_the_ranks_are_there_reaches_them_all(tmp_path):
    crew = Crew(crew_work.polite, [(str(tmp_path),)] * 2, timeout=600, grace=600)
    crew.signal(signal.SIGTERM)
    crew.start()
    assert end(crew) == 75
    assert [child.exitcode for child in crew.children] == [75, 75]


def test_a_run_within_its_time_has_not_timed_out():
    crew = Crew(crew_work.ends, [(0,)], timeout=600)
    assert (crew_run(crew), crew.timed_out) == (0, False)


def test_without_a_timeout_there_is_nothing_to_wait_for():
    assert Crew(crew_work.ends, [(0,)]).patience() is None


def test_what_a_rank_leaves_in_its_group_ends_with_it(tmp_path):
    assert crew_run(Crew(crew_work.leaves_a_child, [(str(tmp_path),)])) == 0
    child = int((tmp_path / "pid").read_text())
    until(lambda: gone(child))


def test_a_rank_that_ended_unseen_is_still_watched_until_it_is_polled():
    crew = Crew(crew_work.ends, [(0,)])
    crew.start()
    crew.children[0].join()
    assert not crew.children[0].is_alive()
    assert wait(crew.sentinels, timeout=10) == crew.sentinels != []
    assert crew.poll() == 0


def test_a_crew_that_has_not_started_has_nothing_to_watch_or_to_kill():
    crew = Crew(crew_work.ends, [(0,), (0,)])
    assert crew.sentinels == []
    crew.kill()


@pytest.mark.parametrize(("codes", "expected"), [((0, 0), 0), ((75, 75), 75), ((0, 1), 1), ((2, 1), 2), ((3,), 3)])
def test_the_largest_code_speaks_for_all(codes, expected, monkeypatch):
    monkeypatch.setattr(crew, "FAILED_GRACE_S", 20.0)
    assert crew_run(Crew(crew_work.ends, [(code,) for code in codes])) == expected


def test_a_killed_rank_has_the_signal_for_a_code(tmp_path):
    one = Crew(crew_work.polite, [(str(tmp_path),)])
    one.start()
    os.kill(int(read(tmp_path / "pid")), signal.SIGKILL)
    assert end(one) == -signal.SIGKILL
    assert crew.launch(crew_work.crashes, 1) == 1


def test_signals_are_passed_on(tmp_path):
    def send():
        read(tmp_path / "pid")
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    sender = threading.Thread(target=send)
    sender.start()
    assert crew_run(Crew(crew_work.polite, [(str(tmp_path),)])) == 75
    sender.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_rank_that_has_only_begun_hears_a_signal_when_it_is_ready(tmp_path):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    one = Crew(crew_work.deaf, [(str(tmp_path),)])
    one.start()
    os.kill(int(read(tmp_path / "pid")), signal.SIGTERM)
    assert end(one) == 75
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def noted(tmp_path, rank=0):
    return json.loads((tmp_path / str(rank)).read_text())


def test_the_environment_is_what_was_given_and_nothing_of_the_templates(tmp_path, monkeypatch):
    crew_run(Crew(crew_work.ends, [(0,)]))
    monkeypatch.setenv("OURS", "7")
    monkeypatch.delenv("HOME", raising=False)
    one = Crew(crew_work.note, [(str(tmp_path),)], {"CUDA_VISIBLE_DEVICES": "", "OURS": "8", "OMP_NUM_THREADS": "3"}, 3)
    monkeypatch.setenv("LATER", "9")
    assert crew_run(one) == 0
    given = {"CUDA_VISIBLE_DEVICES": "", "OURS": "8", "OMP_NUM_THREADS": "3"}
    expected = {name: value for name, value in os.environ.items() if name != "LATER"} | given
    found = noted(tmp_path)
    assert found["environment"] == expected
    assert found["threads"] == 3
    assert found["group"] == found["pid"] != os.getpgid(0)


def test_ranks_of_a_crew_share_its_environment_and_differ_in_their_place(tmp_path):
    assert crew_run(Crew(crew_work.note, [(str(tmp_path),)] * 2, {"DUOGEN_SLOT": "a,b"}, 2)) == 0
    one, two = (noted(tmp_path, rank)["environment"] for rank in (0, 1))
    assert {name for name in one if one[name] != two[name]} == {"RANK", "LOCAL_RANK"}
    assert (one["WORLD_SIZE"], one["MASTER_ADDR"], one["DUOGEN_SLOT"]) == ("2", "127.0.0.1", "a,b")
    assert noted(tmp_path, 1)["threads"] == 2


def test_a_log_takes_what_is_printed_after_what_it_held(tmp_path, capfd):
    log = tmp_path / "log"
    log.write_text("before\n")
    assert crew_run(Crew(crew_work.talks, [(1,)], log=log)) == 1
    assert sorted(log.read_text().splitlines()) == ["before", "cried", "said"]
    assert log.read_text().startswith("before\n")
    assert capfd.readouterr() == ("", "")


def test_a_log_holds_the_traceback_of_a_failure_and_the_stack_of_a_crash(tmp_path):
    assert crew_run(Crew(crew_work.fails, [()], log=tmp_path / "one")) == 1
    assert (tmp_path / "one").read_text().splitlines()[-1] == "RuntimeError: no such luck"
    assert crew_run(Crew(crew_work.crashes, [()], log=tmp_path / "two")) == -signal.SIGSEGV
    said = (tmp_path / "two").read_text()
    assert "Segmentation fault" in said
    assert "in crashes" in said
