"""SIGHUP ends a process between steps, and is left to nohup."""

import signal

import pytest

from mlcd_eval.running.executors.hang_up import HangUp, HungUp


@pytest.fixture(autouse=True)
def handler():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_raises_and_the_handler_is_put_back():
    terminal = HangUp()
    with pytest.raises(HungUp) as caught, terminal.raised():
        signal.raise_signal(signal.SIGHUP)
    assert caught.value.code == 129 and terminal.closed
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_a_step_is_not_cut_in_two():
    terminal, steps = HangUp(), []
    with pytest.raises(HungUp), terminal.raised():
        with terminal.held():
            signal.raise_signal(signal.SIGHUP)
            steps.append("done")
        steps.append("next")
    assert steps == ["done"]


def test_nohup_keeps_its_choice():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    terminal = HangUp()
    with terminal.raised():
        signal.raise_signal(signal.SIGHUP)
    assert not terminal.closed and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
