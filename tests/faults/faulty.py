"""A generator that goes wrong as its setting says, and notes every process that is started for it."""

import fcntl
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from duogen.networks.dense import MlpGenerator

NOTES = "FAULT_NOTES"
BEGUN: set[int] = set()
LOCKS: list[int] = []


class Faulty(MlpGenerator):
    """An MLP whose `fault`, a method's name and a number, is what it does with each of its outputs in training.

    The environment names the file that takes its notes; a file `go` beside it is the word to go.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, width: int, depth: int, fault: str, seed: int) -> None:
        super().__init__(shape, latent_dim, width, depth, batch_norm=False, initial_std=None, classes=None)
        self.fault = getattr(self, fault.rstrip("0123456789"))
        if os.getpid() not in BEGUN:
            begin(f"{fault}/{seed}")

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        out = super().forward(latent, labels)
        return out if out.is_meta or not self.training else self.fault(out)

    def ok(self, out: Tensor) -> Tensor:
        return out

    def raises(self, out: Tensor) -> Tensor:
        raise RuntimeError("planted")

    def diverges(self, out: Tensor) -> Tensor:
        return out * torch.nan

    def oom(self, out: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("planted")

    def segfault(self, out: Tensor) -> Tensor:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), signal.SIGSEGV)
        return out

    def stubborn(self, out: Tensor) -> Tensor:
        """Ignores SIGTERM, starts a child, and never ends."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with subprocess.Popen(["sleep", "3600"]) as child:
            note("child", child.pid)
            while True:
                time.sleep(1)

    def waits(self, out: Tensor) -> Tensor:
        while not gone():
            time.sleep(0.01)
        return out

    def slow(self, out: Tensor) -> Tensor:
        if not gone():
            time.sleep(0.05)
        return out


def gone() -> bool:
    return Path(os.environ[NOTES]).with_name("go").exists()


def begin(trial: str) -> None:
    """Notes a new process; rank 0 locks its slots, and notes where another trial that lives holds one."""
    BEGUN.add(os.getpid())
    slots, rank = os.environ["DUOGEN_SLOT"], os.environ.get("RANK", "0")
    for slot in slots.split(",") if rank == "0" else ():
        LOCKS.append(os.open(f"{os.environ[NOTES]}.{slot}", os.O_CREAT | os.O_RDWR))
        try:
            fcntl.flock(LOCKS[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("overlap", trial, slot)
    note("begin", trial, slots, rank, os.getpid(), time.monotonic_ns())


def note(*words: object) -> None:
    """Adds a line, whole, whoever else writes."""
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, (" ".join(map(str, words)) + "\n").encode())
    os.close(file)


def let_go() -> None:
    """A child of a trial does not hold its slots."""
    for file in LOCKS:
        os.close(file)
    LOCKS.clear()


os.register_at_fork(after_in_child=let_go)
