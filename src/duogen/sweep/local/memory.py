"""`slots_per_gpu=auto`: as many trials share a GPU as fit into its memory, by what trials of the sweep have used."""

import subprocess
from collections.abc import Callable, Sequence

from duogen.records import RunRecord
from duogen.sweep.local.slots import Slot, Slots, place

CONTEXT_BYTES = 600 * 2**20  # what a process takes on a GPU besides its tensors
SHARE = 0.9  # of a GPU's memory that trials may fill
MOST = 8  # trials on one GPU


class Fitting(Slots):
    """Slots of which a device offers only those for which it has memory.

    The first trial on a device runs alone; from then on n trials share it while n times the largest peak seen so far
    stays within 0.9 of its memory. Where a trial runs out of memory, the device takes one trial fewer than it had.

    Args:
        slots: the most that could be used, several for each device.
        memory: bytes of a device.
    """

    def __init__(self, slots: Sequence[Slot], memory: Callable[[str], float]) -> None:
        super().__init__(slots)
        self.memory = memory
        self.peak: float | None = None
        self.most: dict[str, int] = {}

    @property
    def open(self) -> list[Slot]:
        """The free slots that may be used now."""
        found: list[Slot] = []
        for slot in self.free:
            home = place(slot)
            taken = self.used(home) + sum(place(one) == home for one in found)
            if taken < self.limit(home):
                found.append(slot)
        return found

    def limit(self, home: str) -> int:
        """How many trials a device may hold."""
        fits = 1 if self.peak is None else max(1, int(SHARE * self.memory(home) // self.peak))
        return min(fits, self.most.get(home, MOST))

    def used(self, home: str) -> int:
        return sum(place(slot) == home for slot in self.all) - sum(place(slot) == home for slot in self.free)

    def learn(self, slots: Sequence[Slot], record: RunRecord | None) -> None:
        """What the record of a trial that ran on these slots, not yet given back, says of the memory that it takes."""
        if record is None:
            return
        if record.status == "oom":
            self.most |= {home: max(1, self.used(home) - 1) for home in map(place, slots)}
        if record.peak_memory is not None:
            self.peak = max(self.peak or 0.0, record.peak_memory + CONTEXT_BYTES)


def gpu_memory(device: str) -> float:
    """Bytes of a GPU's memory, as nvidia-smi says."""
    query = ["nvidia-smi", f"--id={device}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL)
    return float(done.stdout.split()[0]) * 2**20
