"""The signals that ask for an end: Ctrl-C, what a scheduler sends, and a terminal that closes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def owning_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Lets `handler` have the signals of `ENDING` inside, and gives them back after.

    SIGHUP stays ignored where it is, as under nohup; a thread other than the main one has none to give.
    """
    main = threading.current_thread() is threading.main_thread()
    stays = signal.SIGHUP if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else None
    before = {number: signal.signal(number, handler) for number in ENDING if number != stays} if main else {}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
