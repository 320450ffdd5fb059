"""Progress of a long job, on stderr: bars on a terminal, a line every 30 seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

Advance = Callable[[int], None]
"""Called with the number of units done since the last call."""

Stage = Callable[[str, int | None, str], AbstractContextManager[Advance]]
"""(title, total, unit) -> a context that yields an Advance, as `Progress.stage`."""

Verbosity = Literal["quiet", "normal", "verbose"]

INTERVAL = 30.0  # seconds between lines where there is no terminal


class Progress:
    """Silent progress: the default of the Python entry points, and what --quiet asks for."""

    verbosity: Verbosity = "quiet"

    def say(self, line: str) -> None:
        """Show a line that stays."""

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str, lasting: bool = True) -> Iterator[Advance]:
        """Start a stage of `total` units (None: unknown), which may lie within another; yield its Advance.

        lasting: leave a line at the end even if the stage was short.
        """
        yield lambda _: None


class ConsoleProgress(Progress):
    """Bars with the rate and the time left on a terminal; elsewhere a line every `interval` seconds.

    A lasting stage, and one that took longer than the interval, leaves a line at its end; with verbose every stage.
    """

    def __init__(self, verbose: bool = False, interval: float = INTERVAL) -> None:
        from rich import progress as bars
        from rich.console import Console

        self.verbosity = "verbose" if verbose else "normal"
        self.interval = interval
        self.console = Console(stderr=True, highlight=False)
        self._stages: list[_StageState] = []
        self._reporting = threading.Lock()  # no line about a stage that is closed
        self._last_closed = threading.Event()
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.fields[pace]}"),
            console=self.console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )

    def say(self, line: str) -> None:
        """Print the line above the bars, if some are shown."""
        self.console.print(line, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str, lasting: bool = True) -> Iterator[Advance]:
        """Show the stage while the block runs."""
        from rich.markup import escape

        state = _StageState(title, total, unit)
        bar = self._bars.add_task(escape(title), total=total, pace="")

        def advance(count: int) -> None:
            state.advance(count)
            self._bars.update(bar, advance=count, pace=state.pace())

        self._open(state)
        try:
            yield advance
        finally:
            with self._reporting:
                self._stages.remove(state)
            self._bars.remove_task(bar)
            if not self._stages:
                self._last_closed.set()
                self._bars.stop()
        if state.done and (lasting or self.verbosity == "verbose" or state.seconds() >= self.interval):
            self.say(state.summary())

    def _open(self, state: _StageState) -> None:
        self._stages.append(state)
        if len(self._stages) == 1:
            self._bars.start()
            if self._bars.disable:
                self._last_closed = threading.Event()
                threading.Thread(target=self._report, args=(self._last_closed,), daemon=True).start()

    def _report(self, closed: threading.Event) -> None:
        """Say where the innermost stage is, every `interval` seconds until the last stage is closed."""
        while not closed.wait(self.interval):
            with self._reporting:
                if self._stages:
                    self.say(self._stages[-1].report())


def make_progress(verbosity: Verbosity) -> Progress:
    """Return the progress of a verbosity."""
    return Progress() if verbosity == "quiet" else ConsoleProgress(verbose=verbosity == "verbose")


@dataclass(eq=False)
class _StageState:
    """How far a stage is. first: the time and count of its first advance, which may be of work that was found done."""

    title: str
    total: int | None
    unit: str
    done: int = 0
    started: float = field(default_factory=lambda: time.perf_counter())
    first: tuple[float, int] | None = None

    def advance(self, count: int) -> None:
        self.done += count
        self.first = self.first or (time.perf_counter(), self.done)

    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def rate(self) -> str:
        return f"{_number(self.done / max(self.seconds(), 1e-9))} {self.unit}/s"

    def left(self) -> str:
        """Return the time left as `, about 3 min left`; empty while it is unknown."""
        if self.first is None or self.total is None or self.done == self.first[1]:
            return ""
        per_unit = (time.perf_counter() - self.first[0]) / (self.done - self.first[1])
        return f", about {duration(per_unit * max(self.total - self.done, 0))} left"

    def pace(self) -> str:
        return self.rate() + self.left() if self.done else ""

    def report(self) -> str:
        """Return a line for a log file."""
        if self.total is None and not self.done:
            return f"{self.title}: running for {duration(self.seconds())}"
        of_total = "" if self.total is None else f" of {self.total:,}"
        return f"{self.title}: {self.done:,}{of_total} {self.unit} after {duration(self.seconds())}{self.left()}"

    def summary(self) -> str:
        """Return the line at the end."""
        return f"{self.title}: {self.done:,} {self.unit} in {self.seconds():.1f} s ({self.rate()})"


def duration(seconds: float) -> str:
    """Return seconds as a person would say them: `45 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
