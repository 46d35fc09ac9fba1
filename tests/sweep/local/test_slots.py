"""Slots: which GPUs may be used, who shares one, and what a process finds on them."""

from types import SimpleNamespace

import pytest

from duogen.errors import UserError
from duogen.sweep.local import slots as subject
from duogen.sweep.local.slots import Slot, Slots, environment, named, on_cores, on_gpus, place, visible_gpus

WHOLE = """\
GPU 0: NVIDIA H200 (UUID: GPU-8b6f5a2e-1111-2222-3333-444455556666)
GPU 1: NVIDIA H200 (UUID: GPU-0c1d2e3f-1111-2222-3333-444455556666)
"""
MIG = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-8c1d4d5e-0000-5b33-a5e4-0123456789ab)
  MIG 2g.10gb     Device  1: (UUID: MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-99999999-0000-5b33-a5e4-0123456789ab)
"""
PARTS = [
    "MIG-8c1d4d5e-0000-5b33-a5e4-0123456789ab",
    "MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/2/0",
    "MIG-99999999-0000-5b33-a5e4-0123456789ab",
]


@pytest.mark.parametrize(
    ("outer", "expected"),
    [
        ("0", ["0"]),
        ("3,1", ["3", "1"]),
        (" 3 , 1 ", ["3", "1"]),
        ("GPU-8b6f5a2e,GPU-0c1d2e3f", ["GPU-8b6f5a2e", "GPU-0c1d2e3f"]),
        (",".join(PARTS[:2]), PARTS[:2]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2,-1,0", ["2"]),
        ("2,,0", ["2"]),
        ("1,1", ["1"]),
    ],
)
def test_an_outer_choice_of_gpus_is_kept_to(outer, expected):
    def listing():
        raise AssertionError("nvidia-smi was asked")

    assert visible_gpus({"CUDA_VISIBLE_DEVICES": outer}, listing) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), (WHOLE, ["0", "1"]), (MIG, PARTS), ("No devices found.\n", []), ("GPU 7: a, b: c (UUID: x)", ["7"])],
)
def test_without_a_choice_the_machine_is_asked(text, expected):
    assert visible_gpus({"PATH": "/bin"}, lambda: text) == expected


def test_a_machine_without_nvidia_smi_has_no_gpu(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subject.subprocess, "run", absent)
    assert subject.nvidia_smi() == ""
    monkeypatch.setattr(subject.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=9, stdout="failed"))
    assert subject.nvidia_smi() == ""
    monkeypatch.setattr(subject.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0, stdout=WHOLE))
    assert subject.nvidia_smi() == WHOLE


def names(slots):
    return None if slots is None else [slot.name for slot in slots]


def test_gpus_take_turns_and_share_the_cores():
    slots = on_gpus(["0", "GPU-x"], 3, 14)
    assert names(slots) == ["0/0", "GPU-x/0", "0/1", "GPU-x/1", "0/2", "GPU-x/2"]
    assert [slot.device for slot in slots] == ["0", "GPU-x"] * 3
    assert {slot.threads for slot in slots} == {2}
    assert names(on_gpus(["0", "1"], 1, 1)) == ["0", "1"]
    assert on_gpus(["0", "1"], 1, 1)[0].threads == 1


@pytest.mark.parametrize(("cores", "threads", "count"), [(8, 3, 2), (2, 1, 2), (1, 4, 1)])
def test_cores_are_shared_out(cores, threads, count):
    slots = on_cores(cores, threads)
    assert names(slots) == [f"cpu{index}" for index in range(count)]
    assert {(slot.device, slot.threads) for slot in slots} == {(None, threads)}


def test_slots_may_have_names():
    slots = named(["a", 7, "c"], 7)
    assert [(slot.name, slot.device, slot.threads) for slot in slots] == [
        ("a", None, 2),
        ("7", None, 2),
        ("c", None, 2),
    ]


@pytest.mark.parametrize("given", [[], ["a", "b", "a"], ["1", 1], "abc", 3, {"a": 1}])
def test_names_that_are_no_list_of_different_ones_are_refused(given):
    with pytest.raises(UserError, match=r"hydra\.launcher\.slots"):
        named(given, 4)


def test_a_trial_takes_the_first_free_slots_and_gives_them_back_in_order():
    slots = Slots(on_cores(3, 1))
    first, second = slots.take(1), slots.take(1)
    assert (names(first), names(second)) == (["cpu0"], ["cpu1"])
    slots.give(first)
    assert names(slots.free) == ["cpu0", "cpu2"]
    assert names(slots.take(2)) == ["cpu0", "cpu2"]
    assert slots.take(1) is None
    slots.give(second)
    assert names(slots.take(1)) == ["cpu1"]


def test_what_cannot_be_had_at_once_takes_nothing():
    slots = Slots(on_cores(2, 1))
    assert slots.take(3) is None
    assert names(slots.free) == ["cpu0", "cpu1"]


def test_ranks_of_one_trial_lie_on_different_devices():
    slots = Slots(on_gpus(["0", "1"], 2, 4))
    assert slots.places == 2
    assert names(slots.take(2)) == ["0/0", "1/0"]
    assert names(slots.take(1)) == ["0/1"]
    assert slots.take(2) is None
    assert slots.take(3) is None
    assert names(slots.free) == ["1/1"]


def test_trials_share_a_device_unless_one_is_to_be_alone():
    slots = Slots(on_gpus(["0", "1"], 2, 4))
    other = slots.take(1)
    alone = slots.take(1, alone=True)
    assert names(alone) == ["1/0", "1/1"]
    assert slots.take(1, alone=True) is None
    assert names(slots.free) == ["0/1"]
    slots.give(other)
    assert names(slots.take(1, alone=True)) == ["0/0", "0/1"]
    slots.give(alone)
    assert names(slots.free) == ["1/0", "1/1"]


def test_two_ranks_that_are_to_be_alone_take_two_devices_whole():
    slots = Slots(on_gpus(["0", "1", "2"], 2, 6))
    slots.take(1)
    assert names(slots.take(2, alone=True)) == ["1/0", "2/0", "1/1", "2/1"]


def test_a_slot_without_a_device_is_a_place_of_its_own():
    slots = Slots(named(["a", "b"], 2))
    assert slots.places == 2
    assert len({place(slot) for slot in slots.all}) == 2
    assert names(slots.take(1, alone=True)) == ["a"]


def test_a_process_finds_its_devices_and_threads():
    gpus = [Slot("0/1", "0", 3), Slot("1/1", "1", 3)]
    assert environment(gpus, {}) == {
        "DUOGEN_SLOT": "0/1,1/1",
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert environment([Slot("a", None, 2)], {}) == {
        "DUOGEN_SLOT": "a",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
    }


def test_a_device_that_is_taken_whole_is_named_once():
    assert environment([Slot("0/0", "0", 1), Slot("0/1", "0", 1)], {})["CUDA_VISIBLE_DEVICES"] == "0"


def test_an_outer_choice_keeps_its_own_order():
    found = environment([Slot("0", "0", 1)], {"CUDA_VISIBLE_DEVICES": "1,0"})
    assert found["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_DEVICE_ORDER" not in found
