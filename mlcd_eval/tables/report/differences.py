"""Differences of models from the baseline: one chart per model, with the provenance of both values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlcd_eval.tables.boards.leaderboard import Column, Difference, Leaderboard, Row, baseline_row
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series
from mlcd_eval.tables.report.provenance import Provenance

MOST = 20
"""Differences of a chart on a folded page."""


def differences(boards: Iterable[Leaderboard], baseline: str | None, provenance: Provenance) -> dict[str, list[Chart]]:
    """By title of the board, one chart per model of its differences from the baseline, the largest first; all charts
    have one scale. Of more than MOST differences on a folded page a chart has the largest and the smallest."""
    pairs = [
        (board, row, reference, of_row)
        for board in boards
        if (reference := baseline_row(board, baseline)) is not None
        for row in board.rows
        if row is not reference and (of_row := _of(board, row, reference, provenance.folded))
    ]
    ends = [0.0, *(difference.value for *_, of_row in pairs for _, difference in of_row)]
    across = Axis("difference", unit="difference", span=(min(ends), max(ends)))
    charts: dict[str, list[Chart]] = {}
    for board, row, reference, of_row in pairs:
        title = f"{row.model} minus {reference.model}"
        series = _series(board, row, reference, of_row, provenance)
        charts.setdefault(board.title, []).append(Chart(title, across, Axis("task", scale="names"), series))
    return charts


def _of(board: Leaderboard, row: Row, reference: Row, folded: bool) -> list[tuple[Column, Difference]]:
    found = [
        (column, difference)
        for column in board.columns
        if column.unit == "fraction" and (difference := board.difference(row, reference, column)) is not None
    ]
    found.sort(key=lambda pair: -pair[1].value)
    if folded and len(found) > MOST:
        found[MOST // 2 : -MOST // 2] = []
    return found


def _series(
    board: Leaderboard, row: Row, reference: Row, of_row: Sequence[tuple[Column, Difference]], provenance: Provenance
) -> list[Series]:
    several = len({(column.task, column.variant) for column in board.columns}) < len(board.columns)
    better: list[Point] = []
    worse: list[Point] = []
    for column, difference in of_row:
        name = column.name + (f" {column.metric}" if several else "")  # else its name says which
        opens = provenance.difference(row, reference, column)
        side = better if (difference.value > 0) == column.higher_is_better else worse
        side.append(Point(difference.value, name, opens=opens))
    named = (Series("better", better, tone="better"), Series("worse", worse, tone="worse"))
    return [series for series in named if series.points]
