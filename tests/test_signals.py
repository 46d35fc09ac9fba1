import signal
import threading

import pytest

from duogen.signals import ENDING, owning_signals


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_heard_inside_and_its_handler_comes_back(number):
    heard, before = [], signal.getsignal(number)
    with owning_signals(lambda number, frame: heard.append(number)):
        signal.raise_signal(number)
    assert heard == [number]
    assert signal.getsignal(number) is before


def test_under_nohup_a_terminal_may_close():
    heard, before = [], signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with owning_signals(lambda number, frame: heard.append(number)):
            signal.raise_signal(signal.SIGHUP)
        assert heard == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_has_none_to_give():
    before, inside = signal.getsignal(signal.SIGTERM), []

    def work():
        with owning_signals(lambda number, frame: None):
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
