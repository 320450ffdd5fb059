"""A closed terminal (SIGHUP) ends this process, after the step that must not be cut in two."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class HungUp(SystemExit):
    """Raised in the main thread on SIGHUP; the exit code is 129."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGHUP)


class HangUp:
    """Whether the terminal was closed. closed: set on SIGHUP, before HungUp is raised."""

    def __init__(self) -> None:
        self.closed = False
        self._held = False

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Raise HungUp in the block on SIGHUP. Where SIGHUP is ignored, as by nohup, it stays so."""
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            yield
            return
        before = signal.signal(signal.SIGHUP, self._hang_up)
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, before)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Raise HungUp only at the end of the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.closed:
            raise HungUp

    def _hang_up(self, *_: object) -> None:
        self.closed = True
        if not self._held:
            raise HungUp
