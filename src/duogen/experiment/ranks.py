"""Ranks without Lightning's launcher: fresh children of a warm template, one process group each, no orphans."""

import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from duogen.errors import UserError

KILLED_GRACE_S = 5.0
FAILED_GRACE_S = 45.0
PASSED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
AGREED = (None, 0, 75, 130)


def launch(work: Callable[..., int], ranks: int, *arguments: Any) -> int:
    """Runs `work(*arguments)` in `ranks` processes that know their rank, and returns the largest exit code.

    A signal to this process goes to every rank. When a rank is killed, the others are killed after a grace of 5 s; when
    one fails, they may take 45 s to say so and to close their trackers; an end that all have agreed on has the time it
    needs. When this process dies, every rank kills its own process group.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["duogen.experiment.warm"])
    port = free_port()
    children = [
        context.Process(target=enter, args=(work, environment(rank, ranks, port), arguments)) for rank in range(ranks)
    ]
    previous = {number: signal.signal(number, passing(children)) for number in PASSED}
    try:
        for child in children:
            child.start()
        return watch(children)
    finally:
        for child in children:
            end(child, signal.SIGKILL)
        for number, handler in previous.items():
            signal.signal(number, handler)


def environment(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torch.distributed and Lightning read: the variables of a process that somebody else has started."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": ranks, "MASTER_PORT": port}
    return {name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"}


def enter(work: Callable[..., int], environment: Mapping[str, str], arguments: Sequence[Any]) -> None:
    """A rank's first code: its own process group, its environment, and an eye on its parent."""
    os.setpgid(0, 0)
    os.environ.update(environment)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=follow, args=(parent.sentinel,), daemon=True).start()
    import torch

    cores = min(torch.get_num_threads(), len(os.sched_getaffinity(0)))
    torch.set_num_threads(max(1, cores // int(environment["WORLD_SIZE"])))
    # Everything is on disk by then; the interpreter's own teardown could wait for a rank that is gone.
    os._exit(answered(work, arguments, speaks=environment["RANK"] == "0"))


def answered(work: Callable[..., int], arguments: Sequence[Any], speaks: bool) -> int:
    """The exit code of a rank's work; all ranks meet a user's mistake, rank 0 says so."""
    try:
        return work(*arguments)
    except UserError as error:
        if speaks:
            print(f"duogen: {error}", file=sys.stderr)
        return 2
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def follow(sentinel: int) -> None:
    wait([sentinel])
    os.killpg(0, signal.SIGKILL)


def watch(children: Sequence[ForkServerProcess]) -> int:
    """Waits for all; once one has failed the rest get a grace to end by themselves."""
    deadline: float | None = None
    while any(child.is_alive() for child in children):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        wait([child.sentinel for child in children if child.is_alive()], timeout=left)
        codes = [child.exitcode or 0 for child in children if child.exitcode not in AGREED]
        if codes:
            grace = KILLED_GRACE_S if min(codes) < 0 else FAILED_GRACE_S
            deadline = min(deadline or math.inf, time.monotonic() + grace)
        if deadline is not None and time.monotonic() >= deadline:
            for child in children:
                end(child, signal.SIGKILL)
    codes = [child.exitcode or 0 for child in children]
    return max(1 if code < 0 else code for code in codes)


def passing(children: Sequence[ForkServerProcess]) -> Callable[[int, Any], None]:
    def handler(number: int, frame: Any) -> None:
        for child in children:
            end(child, number)

    return handler


def end(child: ForkServerProcess, number: int) -> None:
    """Signals a rank and, when it is to be killed, the workers in its process group too."""
    if child.pid is None:
        return
    try:
        if number == signal.SIGKILL:
            os.killpg(child.pid, number)
        elif child.is_alive():
            os.kill(child.pid, number)
    except ProcessLookupError:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
