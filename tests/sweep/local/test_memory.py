"""Trials share a GPU while its memory lasts, by a fake of the memory."""

import pytest

from duogen.records import RunRecord
from duogen.sweep.local.memory import CONTEXT_BYTES, MOST, SHARE, Fitting
from duogen.sweep.local.slots import on_gpus, place

GIB = 2**30


def record(status="done", peak=None):
    return RunRecord("k", ["k"], status, {}, [], 0, peak_memory=peak)


def slots(devices=("0", "1"), memory=16 * GIB):
    return Fitting(on_gpus(devices, MOST, 16), lambda device: memory)


def homes(taken):
    return [place(slot) for slot in taken]


def test_the_first_trial_on_each_device_runs_alone():
    shared = slots()
    assert homes(shared.take(1) + shared.take(1)) == ["0", "1"]
    assert shared.take(1) is None
    assert shared.open == []


@pytest.mark.parametrize(("peak", "most"), [(2 * GIB, 5), (3 * GIB, 4), (13 * GIB, 1), (20 * GIB, 1), (10**6, MOST)])
def test_as_many_share_as_the_largest_peak_allows(peak, most):
    shared = slots(devices=("0",))
    first = shared.take(1)
    shared.learn(first, record(peak=peak))
    shared.give(first)
    taken = [shared.take(1) for _ in range(MOST + 1)]
    running = sum(one is not None for one in taken)
    assert running == most
    assert running == 1 or running * (peak + CONTEXT_BYTES) <= SHARE * 16 * GIB


def test_a_larger_peak_counts_for_all_that_follow():
    shared = slots(devices=("0",))
    first = shared.take(1)
    shared.learn(first, record(peak=2 * GIB))
    shared.give(first)
    second = shared.take(1)
    shared.learn(second, record(peak=6 * GIB))
    shared.give(second)
    assert [shared.take(1) is not None for _ in range(3)] == [True, True, False]


def test_an_out_of_memory_takes_one_off_the_device_where_it_happened():
    shared = slots()
    first = shared.take(1)
    shared.learn(first, record(peak=GIB))
    shared.give(first)
    taken = [shared.take(1) for _ in range(4)]
    on_zero = [one for one in taken if homes(one) == ["0"]]
    shared.learn(on_zero[0], record("oom"))
    assert shared.most == {"0": 1}
    shared.give(on_zero[0])
    assert homes(shared.take(1)) == ["1"]


def test_one_that_is_to_be_alone_waits_for_an_empty_device():
    shared = slots(devices=("0",))
    first = shared.take(1)
    shared.learn(first, record(peak=GIB))
    assert shared.take(1, alone=True) is None
    shared.give(first)
    alone = shared.take(1, alone=True)
    assert homes(alone) == ["0"] * MOST
    assert shared.take(1) is None
    shared.give(alone)
    assert shared.take(1) is not None


def test_ranks_of_one_trial_lie_on_different_devices():
    shared = slots()
    assert homes(shared.take(2)) == ["0", "1"]


def test_a_record_without_memory_teaches_nothing():
    shared = slots(devices=("0",))
    shared.learn(shared.take(1), None)
    shared.learn([], record())
    assert shared.peak is None
