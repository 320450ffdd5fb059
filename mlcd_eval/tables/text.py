"""Numbers and tables as text; the only place that rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlcd_eval.metrics.base import Metric


def shown(value: float | None, unit: str = "fraction", decimals: int = 2) -> str:
    """A fraction in per cent, another unit unchanged, a dash for None."""
    if value is None:
        return "-"
    return f"{value * 100 if unit == 'fraction' else value:.{decimals}f}"


def shown_difference(value: float, unit: str = "fraction") -> str:
    """A difference of fractions in points, of another unit unchanged: `+1.20`, `-0.35`, `0.00`."""
    points = round(value * 100 if unit == "fraction" else value, 2)
    return f"{points:+.2f}" if points else "0.00"


def count(number: int | None) -> str:
    """A number of samples, a dash where it is not known."""
    return "-" if number is None else f"{number:,}"


def shown_metric(metric: Metric) -> str:
    """The value with its interval: `45.24 [41.4, 48.9]`, for another unit than per cent `2.42 [2.34, 2.49]`."""
    text = shown(metric.value, metric.unit)
    return text if metric.value is None or metric.ci95 is None else f"{text} {shown_interval(metric.ci95, metric.unit)}"


def shown_interval(ci95: tuple[float, float], unit: str) -> str:
    """`[41.4, 48.9]` of fractions, `[2.34, 2.49]` of another unit."""
    low, high = (shown(end, unit, 1 if unit == "fraction" else 2) for end in ci95)
    return f"[{low}, {high}]"


def measure(metric: str, unit: str, higher_is_better: bool) -> str:
    """A metric's name, with its unit where that is not per cent, and its direction where lower is better."""
    return metric + ("" if unit == "fraction" else f", {unit}") + ("" if higher_is_better else ", lower is better")


def cell(text: str) -> str:
    """Text that cannot break out of a markdown table cell or smuggle HTML into it."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.split()).replace("|", "\\|")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """An aligned markdown table, the first `left` columns flush left and the others flush right."""
    widths = [max(3, *(len(row[column]) for row in [header, *rows])) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if column < left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)]) + "\n"


class Drawing(NamedTuple):
    """How a table is written. text: makes a name fit for a cell; table: header, rows and columns flush left -> text."""

    text: Callable[[str], str]
    table: Callable[[Sequence[str], Sequence[Sequence[str]], int], str]


MARKDOWN = Drawing(cell, markdown_table)
