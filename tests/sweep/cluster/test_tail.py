import json

import pytest

from duogen.sweep.cluster.tail import Tail


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def line(step, pad=""):
    return json.dumps({"step": step, "pad": pad}) + "\n"


def steps(tail):
    return [step for step, _ in tail.new()]


def test_there_is_nothing_before_the_first_row(path):
    tail = Tail(path)
    assert steps(tail) == []
    path.write_text("")
    assert steps(tail) == []


def test_each_row_comes_once_and_whole(path):
    tail = Tail(path)
    path.write_text(line(3) + line(5))
    assert tail.new() == [(3, {"step": 3, "pad": ""}), (5, {"step": 5, "pad": ""})]
    assert steps(tail) == []
    with path.open("a") as file:
        file.write(line(8)[:4])
        file.flush()
        assert steps(tail) == []
        file.write(line(8)[4:])
        file.flush()
        assert steps(tail) == [8]


def test_a_run_that_goes_back_to_its_checkpoint_repeats_no_row(path):
    tail = Tail(path)
    path.write_text(line(3) + line(5) + line(8))
    assert steps(tail) == [3, 5, 8]
    path.write_text(line(3))
    assert steps(tail) == []
    path.write_text(line(3) + line(5) + line(8) + line(9))
    assert steps(tail) == [9]


@pytest.mark.parametrize("pad", ["", "x" * 7, "x" * 50])
def test_a_file_that_was_cut_and_has_grown_between_two_looks_is_read_anew(path, pad):
    tail = Tail(path)
    path.write_text(line(3) + line(5))
    assert steps(tail) == [3, 5]
    path.write_text(line(3) + line(5, pad) + line(8, pad))
    assert steps(tail) + steps(tail) == [8]
