"""Differences of models from the baseline: forest plots, with the provenance of both values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.interval import Interval
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import Column, Leaderboard, Row, baseline_row
from mlcd_eval.tables.comparison.contest import MOST_TESTS, Entry, paired
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series, Tone
from mlcd_eval.tables.report.provenance import Provenance

MOST = 20
"""Differences of a chart on a folded page."""
TONES: dict[str, Tone] = {"better": "better", "equal": "muted", "worse": "worse"}


@dataclass(frozen=True)
class _Difference:
    """A row's value minus the reference's."""

    row: Row
    reference: Row
    column: Column
    value: float

    @property
    def side(self) -> Literal["better", "worse", "equal"]:
        if self.value == 0:
            return "equal"
        return "better" if (self.value > 0) == self.column.higher_is_better else "worse"


_Group = tuple[str, str, str, list[_Difference]]  # the board's title, a chart's title, what its names are


def differences(
    results: Sequence[Result],
    files: Sequence[Path],
    boards: Iterable[Leaderboard],
    baseline: str | None,
    provenance: Provenance,
) -> dict[str, list[Chart]]:
    """By title of the board, charts of differences from the baseline, the largest first; all have one scale. A chart
    is of one model and many tasks or of one task and many models, whichever makes fewer charts. Of more than MOST
    differences on a folded page a chart has the largest and the smallest. Intervals are those of paired tests, where
    the outcomes of both are beside their files.
    """
    groups = [
        group
        for board in boards
        if (reference := baseline_row(board, baseline)) is not None
        for group in _groups(board, reference, MOST if provenance.folded else None)
    ]
    shown = [each for *_, group in groups for each in group]
    intervals = _intervals(shown, {id(result): file for result, file in zip_longest(results, files)})
    ends = [0.0, *(each.value for each in shown), *(end for ends in intervals.values() for end in ends)]
    across = Axis("difference", unit="difference", span=(min(ends), max(ends)))
    charts: dict[str, list[Chart]] = {}
    for board_title, title, kind, group in groups:
        points = [(each.side, _point(each, kind, intervals, provenance)) for each in group]
        series = [
            Series(side, of_side, tone=tone)
            for side, tone in TONES.items()
            if (of_side := [point for own, point in points if own == side])
        ]
        names = Axis(kind, scale="names", ticks=[str(point.y) for _, point in points])
        charts.setdefault(board_title, []).append(Chart(title, across, names, series))
    return charts


def _groups(board: Leaderboard, reference: Row, most: int | None) -> list[_Group]:
    found = [
        _Difference(row, reference, column, difference.value)
        for row in board.rows
        for column in board.columns
        if column.unit == "fraction" and (difference := board.difference(row, reference, column)) is not None
    ]
    of_models: dict[str, list[_Difference]] = {}
    of_tasks: dict[str, list[_Difference]] = {}
    for each in found:
        of_models.setdefault(f"{each.row.model} minus {reference.model}", []).append(each)
        of_tasks.setdefault(f"{each.column.name} {each.column.metric}: minus {reference.model}", []).append(each)
    by_model = len(of_models) <= len(of_tasks)
    groups = []
    for title, group in (of_models if by_model else of_tasks).items():
        group.sort(key=lambda each: -each.value)
        if most is not None and len(group) > most:
            group[most // 2 : -most // 2] = []
        groups.append((board.title, title, "task" if by_model else "model", group))
    return groups


def _point(
    each: _Difference, kind: str, intervals: Mapping[tuple[int, Column], Interval], provenance: Provenance
) -> Point:
    name = f"{each.column.name} {each.column.metric}" if kind == "task" else each.row.model
    opens = provenance.difference(each.row, each.reference, each.column)
    return Point(each.value, name, intervals.get((id(each.row), each.column)), opens=opens)


def _intervals(shown: Sequence[_Difference], files: Mapping[int, Path | None]) -> dict[tuple[int, Column], Interval]:
    """By row and column; none where there would be more than MOST_TESTS, and of a difference without a test."""
    intervals: dict[tuple[int, Column], Interval] = {}
    by_column: dict[tuple[int, Column], list[_Difference]] = {}
    for each in shown if len(shown) <= MOST_TESTS else ():
        by_column.setdefault((id(each.reference), each.column), []).append(each)
    for group in by_column.values():
        try:
            first = _entry(group[0].reference, group[0].column, files)
            of_first = first.testable()
        except DataError:
            continue
        for each in group:
            with suppress(DataError):
                other = _entry(each.row, each.column, files)
                intervals[id(each.row), each.column] = paired(first, of_first, other).ci95
    return intervals


def _entry(row: Row, column: Column, files: Mapping[int, Path | None]) -> Entry:
    """The record of a number; raises DataError for one of a paper and for what is not a record's primary metric."""
    source = row[column].source
    if not isinstance(source, Result) or source.primary is None or source.primary.name != column.metric:
        raise DataError("there is no test")
    return Entry(source, source.primary, files.get(id(source)))
