"""How the launch ends when its ranks do."""

import os
import time
from pathlib import Path

import pytest

from contracts import rank_ends
from duogen.experiment import ranks


@pytest.mark.parametrize("code", [0, 75, 130])
def test_an_agreed_end_leaves_the_slower_rank_its_time(code, tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "KILLED_GRACE_S", 0.1)
    monkeypatch.setattr(ranks, "FAILED_GRACE_S", 0.1)
    assert ranks.launch(rank_ends.slow_first_rank, 2, code, tmp_path) == code
    assert (tmp_path / "written").exists()


def test_a_failed_rank_ends_the_launch(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "FAILED_GRACE_S", 0.1)
    assert ranks.launch(rank_ends.endless_first_rank, 2, tmp_path) == 1
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_users_mistake_is_said_by_rank_0_and_gives_2(capsys):
    assert [ranks.answered(rank_ends.mistaken, (), speaks) for speaks in (True, False)] == [2, 2]
    assert capsys.readouterr().err.count("duogen: x=1") == 1
    assert ranks.launch(rank_ends.mistaken, 2) == 2


def test_ranks_know_their_place(tmp_path):
    assert ranks.launch(rank_ends.note_environment, 3, tmp_path) == 0
    noted = [(tmp_path / str(rank)).read_text().split() for rank in range(3)]
    assert [words[:2] for words in noted] == [["0", "3"], ["1", "3"], ["2", "3"]]
    assert len({words[2] for words in noted}) == 3
    assert "RANK" not in os.environ
