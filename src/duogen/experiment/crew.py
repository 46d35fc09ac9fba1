"""The processes of one run: fresh children of a warm template, one for each rank, watched as one, leaving no orphan."""

import faulthandler
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
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from duogen.errors import UserError
from duogen.signals import ENDING, owning_signals

KILLED_GRACE_S = 5.0
FAILED_GRACE_S = 45.0
AGREED = (None, 0, 75, 130)
TEMPLATE = ["duogen.experiment.warm"]


def warm_up(modules: Sequence[str] = ()) -> None:
    """Starts the template, if none runs yet; it imports what every rank needs, and `modules`, while we go on.

    It is deaf to the signals that ask for an end, and so are its children until they own them: where a cluster signals
    every process of a job, the template stays, and a rank that has only begun ends as preempted.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([*TEMPLATE, *modules])
    resource_tracker.ensure_running()  # it unblocks signals itself, so it comes first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Crew:
    """The ranks of one run. `start` begins them, `poll` does what is due, and says how they ended when all are gone.

    When a rank is killed, the others are killed after a grace of 5 s; when one fails, they may take 45 s to say so and
    to close their trackers; an end that all have agreed on has the time it needs. A crew that takes longer than
    `timeout` is told to end (SIGTERM), then killed after `grace`, its data workers too. When the process that started
    it dies, every rank kills its own process group.

    Args:
        work: what each rank runs; its result is the rank's exit code.
        shares: the arguments of each rank's work.
        environment: variables beyond this process's own, the same for all ranks.
        threads: of each rank; null: the cores, shared out among the ranks.
        log: a file that takes what the ranks print, null for this process's own output.
        timeout: in seconds, > 0; null for none.
        grace: in seconds, > 0, between the SIGTERM of a timeout and the SIGKILL.
    """

    def __init__(
        self,
        work: Callable[..., int],
        shares: Sequence[Sequence[Any]],
        environment: Mapping[str, str] | None = None,
        threads: int | None = None,
        log: Path | None = None,
        timeout: float | None = None,
        grace: float = 30.0,
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        ranks, port = len(shares), free_port() if len(shares) > 1 else 0
        common = {**os.environ, **(environment or {})}
        self.children = [
            context.Process(target=enter, args=(work, common | place(rank, ranks, port), threads, log, tuple(share)))
            for rank, share in enumerate(shares)
        ]
        self.timeout, self.grace = timeout, grace
        self.timed_out = False
        self.told: int | None = None
        self.cleared: set[int] = set()
        self.deadline = math.inf
        self.ends = math.inf

    def start(self) -> None:
        """Starts every rank; the time of the timeout runs from here."""
        warm_up()
        for child in self.children:
            child.start()
        if self.timeout is not None:
            self.ends = time.monotonic() + self.timeout
        if self.told is not None:  # when not every rank was there to hear it
            self.signal(self.told)

    @property
    def sentinels(self) -> list[int]:
        """What `multiprocessing.connection.wait` may watch: ready when a rank has gone that `poll` has not yet seen."""
        return [child.sentinel for child in self.children if child.pid is not None and child.pid not in self.cleared]

    def patience(self) -> float | None:
        """Seconds after which `poll` has something to do though no rank has gone; None for never."""
        due = min(self.deadline, self.ends)
        return None if math.isinf(due) else max(0.0, due - time.monotonic())

    def poll(self) -> int | None:
        """Does what is due, and returns the exit code when all ranks are gone: the largest, negative for a signal."""
        codes = [child.exitcode for child in self.children]
        for child, code in zip(self.children, codes, strict=True):
            if code is not None and child.pid is not None and child.pid not in self.cleared:
                self.end(child, signal.SIGKILL)  # what it has left in its process group
                self.cleared.add(child.pid)
        if None not in codes:
            known = [code for code in codes if code is not None]
            return max(known) if min(known) >= 0 else min(known)
        now = time.monotonic()
        if failed := [code for code in codes if code not in AGREED and code is not None]:
            self.deadline = min(self.deadline, now + (KILLED_GRACE_S if min(failed) < 0 else FAILED_GRACE_S))
        if now >= self.ends:
            self.ends, self.timed_out = math.inf, True
            self.signal(signal.SIGTERM)
            self.deadline = min(self.deadline, now + self.grace)
        if now >= self.deadline:
            self.kill()
            self.deadline = math.inf
        return None

    def signal(self, number: int) -> None:
        """Sends a signal to every rank that lives, and to those that are still to start."""
        self.told = number
        for child in self.children:
            self.end(child, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def end(self, child: Any, number: int) -> None:
        """Signals a rank and, when it is to be killed, the workers in its process group too."""
        if child.pid is None or child.pid in self.cleared:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(child.pid, number)
            elif child.is_alive():
                os.kill(child.pid, number)
        except ProcessLookupError:
            if child.is_alive():  # it has no group of its own yet
                os.kill(child.pid, number)


def run(crew: Crew) -> int:
    """Starts a crew, passes signals on to it, and returns its exit code in the end, negative for a signal."""
    with owning_signals(lambda number, frame: crew.signal(number)):
        try:
            crew.start()
            while (code := crew.poll()) is None:
                wait(crew.sentinels, timeout=crew.patience())
            return code
        finally:
            crew.kill()


def launch(work: Callable[..., int], ranks: int, *arguments: Any) -> int:
    """Runs `work(*arguments)` in `ranks` processes that know their rank; the largest exit code, 1 for a killed rank."""
    code = run(Crew(work, [arguments] * ranks))
    return 1 if code < 0 else code


def world_size(trainer: Mapping[str, Any]) -> int:
    """The number of ranks that a trainer's node asks for, on all nodes of a cluster together."""
    return int(trainer["devices"]) * int(trainer.get("nodes", 1))


def place(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What torch.distributed and Lightning read: the variables of a process that somebody else has started."""
    if ranks == 1:
        return {}
    names = {"RANK": rank, "LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": ranks, "MASTER_PORT": port}
    return {name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"}


def enter(
    work: Callable[..., int],
    environment: Mapping[str, str],
    threads: int | None,
    log: Path | None,
    arguments: Sequence[Any],
) -> None:
    """A rank's first code: its own process group, its environment, its output, and an eye on its parent."""
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(environment)
    parent = multiprocessing.parent_process()
    assert parent is not None
    if wait([parent.sentinel], timeout=0):  # it died while the template was not ready
        os._exit(1)
    multiprocessing.set_start_method(None, force=True)  # data workers start as in any process
    threading.Thread(target=follow, args=(parent.sentinel,), daemon=True).start()
    if log is not None:
        write_to(log)
    import torch

    cores = min(torch.get_num_threads(), len(os.sched_getaffinity(0)))
    torch.set_num_threads(threads or max(1, cores // int(environment.get("WORLD_SIZE", "1"))))
    # Everything is on disk by then; the interpreter's own teardown could wait for a rank that is gone.
    os._exit(answered(work, arguments, speaks=environment.get("RANK", "0") == "0"))


def write_to(log: Path) -> None:
    """Sends what this process prints, and the stack of a crash, to the end of a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    faulthandler.enable()


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
