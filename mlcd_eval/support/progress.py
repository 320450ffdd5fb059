"""Progress of a long job, on stderr: bars on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator


class Progress:
    """Silent progress, which the Python entry points use."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """Start a stage of `total` units (None: unknown); yield a function to call with the units just done."""
        yield lambda _: None


class ConsoleProgress(Progress):
    """Bars with units per second (rich) on a terminal; in a log file, one line at the end of each stage."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)

    def say(self, line: str) -> None:
        """Print the line above the bar, if one is shown."""
        self.console.print(line, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """Show the bar while the block runs, then print the count and the rate if anything was done."""
        from rich import progress as bars
        from rich.markup import escape

        started, done = time.perf_counter(), 0
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[rate]}"),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=self.console, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(escape(title), total=total, rate="")

            def advance(count: int) -> None:
                nonlocal done
                done += count
                rate = done / max(time.perf_counter() - started, 1e-9)
                bar.update(task, advance=count, rate=f"{rate:.0f} {unit}/s")

            yield advance
        if done:
            seconds = time.perf_counter() - started
            self.say(f"{title}: {done:,} {unit} in {seconds:.1f} s ({done / seconds:.0f} {unit}/s)")
