"""Plain lists on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WIDEST = 48  # characters of a column; a longer cell pushes the rest of its line to the right


def print_columns(lines: Iterable[Sequence[str]]) -> None:
    """Print one line per entry, its cells aligned with those of the others."""
    known = list(lines)
    widths = [min(WIDEST, max(map(len, column))) for column in zip(*known, strict=True)]
    for line in known:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
