"""What ranks of the crew's tests do, in a module that a fresh process can import."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch


def note(out: str) -> int:
    """Its environment, its threads and its process group, by rank."""
    found = {"environment": dict(os.environ), "threads": torch.get_num_threads(), "group": os.getpgid(0)}
    Path(out, os.environ.get("RANK", "0")).write_text(json.dumps(found | {"pid": os.getpid()}))
    return 0


def ends(code: int) -> int:
    return code


def talks(code: int) -> int:
    print("said")
    os.write(2, b"cried\n")
    return code


def fails() -> int:
    raise RuntimeError("no such luck")


def crashes() -> int:
    ctypes.string_at(0)
    return 0


def leaves_a_child(out: str) -> int:
    """Ends well, and leaves a process of its own behind."""
    write(out, subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
    return 0


def stubborn(out: str) -> int:
    """Hears no SIGTERM, has a child that hears none either, and never ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    write(out, child.pid)
    while True:
        time.sleep(60)


def polite(out: str) -> int:
    """Ends as preempted when it is told to."""
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(75))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    write(out, os.getpid())
    while True:
        time.sleep(60)


def deaf(out: str) -> int:
    """Waits for a signal that it does not hear yet, and ends as preempted when it does."""
    write(out, os.getpid())
    while signal.SIGTERM not in signal.sigpending():
        time.sleep(0.01)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(75))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    return 1


def write(out: str, pid: int) -> None:
    part = Path(out, f".{os.getpid()}")
    part.write_text(str(pid))
    part.rename(Path(out, "pid"))
