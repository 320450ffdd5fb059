"""Warnings of other libraries, collected while a command runs and said once at its end."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlcd_eval.support.progress import Progress

OURS = ("mlcd_eval", "mlcd_train")
LONGEST = 300  # characters of a warning


@dataclass
class _Collector:
    """Counts of (library, first line of the warning). Our own warnings are said at once, each distinct one once."""

    progress: Progress
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    process: int = field(default_factory=os.getpid)

    def add(self, message: object, path: str, line: int) -> None:
        library, text = library_of(path), _shortened(str(message))
        self.counts[library, text] += 1
        if self.counts[library, text] == 1 and (library in OURS or self._cannot_wait()):
            place = f"{path}:{line}: " if self.progress.verbosity == "verbose" else ""
            self.progress.say(f"warning: {place}{text}")

    def _cannot_wait(self) -> bool:
        """Whether there is no end to wait for: a decoding process just ends."""
        return self.progress.verbosity == "verbose" or os.getpid() != self.process

    def say_all(self) -> None:
        """Say what has not been said."""
        if self.progress.verbosity == "verbose":
            return
        for (library, text), count in self.counts.items():
            if library not in OURS:
                times = f" ({count:,} times)" if count > 1 else ""
                self.progress.say(f"warning of {library}: {text}{times}")


@contextlib.contextmanager
def collected_warnings(progress: Progress) -> Iterator[None]:
    """Collect the warnings of the block, by `warnings` or by `logging`, and say each distinct one once at the end, with
    its library and count; with --verbose say it at once, with its place.

    Libraries' loggers have handlers of their own, which are not called for warnings.
    """
    collector = _Collector(progress)
    call_handlers = logging.Logger.callHandlers

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        collector.add(message, filename, lineno)

    def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            collector.add(record.getMessage(), record.pathname, record.lineno)
        else:
            call_handlers(logger, record)

    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning, RuntimeWarning):  # else they are shown, and counted, only once
            warnings.simplefilter("always", category, append=True)
        warnings.showwarning = show  # type: ignore[assignment]
        logging.Logger.callHandlers = handle  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign]
            collector.say_all()


def library_of(path: str) -> str:
    """Return the top-level package that a source file belongs to, else the file's name."""
    parts = Path(path).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].removesuffix(".py")
    return next((part for part in parts if part in OURS), Path(path).stem)


def _shortened(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
