"""Where trials run on this machine: one slot per visible GPU, or a share of the cores where there is none."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from duogen.errors import UserError
from duogen.records import RunRecord


@dataclass(frozen=True)
class Slot:
    """Room for one process: its name, the device it lies on, and the CPU threads it has.

    `device` is what CUDA_VISIBLE_DEVICES is set to (an index, a UUID, a MIG name), or None where there is no GPU.
    """

    name: str
    device: str | None
    threads: int


class Slots:
    """A fixed set of slots; a trial takes as many as it has ranks, all at once.

    Slots of one device are shared by trials, unless one is to be alone there. Ranks of one trial lie on different
    devices.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.all = list(slots)
        self.free = list(slots)

    @property
    def open(self) -> list[Slot]:
        """The free slots that may be used now."""
        return self.free

    def learn(self, slots: Sequence[Slot], record: RunRecord | None) -> None:
        """A trial that ran on these slots, which are not yet given back, has ended with this record."""

    def take(self, count: int, alone: bool = False) -> list[Slot] | None:
        """The first `count` free slots on different devices, with all slots of their devices where `alone`; or None."""
        found: dict[str, Slot] = {}
        for slot in self.open:
            home = place(slot)
            if home not in found and (not alone or self.empty(home)):
                found[home] = slot
        if len(found) < count:
            return None
        homes = list(found)[:count]
        taken = [slot for slot in self.free if place(slot) in homes] if alone else [found[home] for home in homes]
        self.free = [slot for slot in self.free if slot not in taken]
        return taken

    def empty(self, home: str) -> bool:
        """Whether nothing runs on a device."""
        return sum(place(slot) == home for slot in self.free) == sum(place(slot) == home for slot in self.all)

    def give(self, slots: Sequence[Slot]) -> None:
        """Takes slots back, in their old order."""
        self.free = [slot for slot in self.all if slot in self.free or slot in slots]

    @property
    def places(self) -> int:
        """The number of ranks that one trial may have."""
        return len({place(slot) for slot in self.all})


def place(slot: Slot) -> str:
    """The device of a slot; a slot without a GPU is a place of its own."""
    return slot.device if slot.device is not None else f"slot {slot.name}"


def environment(slots: Sequence[Slot], outer: Mapping[str, str]) -> dict[str, str]:
    """What a process finds on these slots: its devices, its threads, and the slots' names.

    Devices by number are counted as nvidia-smi counts them, unless `outer`, this process's own environment, has chosen
    some already, in an order of its own.
    """
    devices = list(dict.fromkeys(slot.device for slot in slots if slot.device is not None))
    threads = str(slots[0].threads)
    found = {
        "DUOGEN_SLOT": ",".join(slot.name for slot in slots),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    if devices:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        found |= {} if "CUDA_VISIBLE_DEVICES" in outer else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return found


def on_gpus(devices: Sequence[str], per_gpu: int, cores: int) -> list[Slot]:
    """`per_gpu` slots on each device, the devices taking turns, the cores shared out among them."""
    threads = max(1, cores // (len(devices) * per_gpu))
    return [Slot(device if per_gpu == 1 else f"{device}/{share}", device, threads)
            for share in range(per_gpu) for device in devices]  # fmt: skip


def on_cores(cores: int, threads: int) -> list[Slot]:
    """As many slots of `threads` threads as the cores hold, one at least."""
    return [Slot(f"cpu{index}", None, threads) for index in range(max(1, cores // threads))]


def named(names: Sequence[str], cores: int) -> list[Slot]:
    """Slots without a device, by the names given."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not names or len({*map(str, names)}) < len(names):
        raise UserError(
            f"hydra.launcher.slots={names}", "different names, one at least", "e.g. hydra.launcher.slots=[a,b]"
        )
    return [Slot(str(name), None, max(1, cores // len(names))) for name in names]


def visible_gpus(environ: Mapping[str, str], listing: Callable[[], str]) -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; an outer CUDA_VISIBLE_DEVICES is kept to.

    Args:
        environ: the process's environment.
        listing: gives what `nvidia-smi -L` prints, empty where there is none; asked only without an outer choice.
    """
    outer = environ.get("CUDA_VISIBLE_DEVICES")
    if outer is not None:
        names = [name.strip() for name in outer.split(",")]
        ends = next((index for index, name in enumerate(names) if name in ("", "-1", "NoDevFiles")), len(names))
        return list(dict.fromkeys(names[:ends]))
    found: dict[str, list[str]] = {}
    for line in listing().splitlines():
        if line.startswith("GPU "):
            found[line.partition(":")[0].removeprefix("GPU ")] = []
        elif line.strip().startswith("MIG") and found:
            found[list(found)[-1]].append(line.partition("UUID: ")[2].rstrip(") \n"))
    return [name for gpu, parts in found.items() for name in (parts or [gpu])]


def nvidia_smi() -> str:
    """What `nvidia-smi -L` prints, or nothing."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
