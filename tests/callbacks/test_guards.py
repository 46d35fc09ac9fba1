import os
import signal
import threading

import pytest

from duogen.callbacks.guards import Interrupted, NotFinite, Stop, refuse_bad
from duogen.modules.window import Means
from duogen.signals import ENDING, owning_signals


def test_a_bad_mean_names_player_term_and_step():
    with pytest.raises(NotFinite) as error:
        refuse_bad(Means({}, ("train/discriminator/r1", 7)))
    assert (error.value.player, error.value.term, error.value.step) == ("discriminator", "r1", 7)
    assert str(error.value) == "discriminator's r1 is not finite, first seen at step 7"
    refuse_bad(Means({"train/discriminator/r1": 1.0}, None))


@pytest.mark.parametrize("number", ENDING)
def test_outside_training_a_signal_ends_at_once_and_handlers_come_back(number):
    before = signal.getsignal(number)
    stop = Stop(10)
    with pytest.raises(Interrupted), owning_signals(stop.notice):
        os.kill(os.getpid(), number)
    assert stop.signal == number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_came_while_deaf_is_noticed_when_it_listens(number):
    stop = Stop(10)
    signal.pthread_sigmask(signal.SIG_BLOCK, (number,))
    try:
        with owning_signals(stop.notice):
            signal.pthread_kill(threading.get_ident(), number)
            assert stop.signal is None
            with pytest.raises(Interrupted):
                stop.listen()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
    assert stop.signal == number


def test_while_training_a_signal_is_noted_and_a_second_ctrl_c_ends_at_once():
    stop = Stop(10)
    stop.training = True
    with owning_signals(stop.notice):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_thread_owns_no_signals_and_needs_none():
    ended = []

    def work():
        stop = Stop(10)
        with owning_signals(stop.notice):
            stop.listen()
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]
