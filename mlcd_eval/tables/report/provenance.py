"""Where each number of a report comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import PUBLISHED, Column, Row
from mlcd_eval.tables.published import PublishedNumber

PRINTED = ("paper", "paper_url", "paper_date", "printed_in", "table", "column", "setting", "source")

Lines = tuple[tuple[str, str], ...]
"""Names and values as text."""


class Provenance:
    """What the page's buttons open.

    entries: (title, the number's own lines, the places in `groups` of the lines that it shares with others).
    """

    def __init__(self, results: Sequence[Result], published: Sequence[PublishedNumber]) -> None:
        self.entries: list[tuple[str, Lines, list[int]]] = []
        self._groups: dict[tuple[str, Lines], int] = {}
        self._cells: dict[tuple[str, Column], int] = {}
        self._results = {(result.model.name, result.task.name): result for result in results}
        self._published = {(n.label + PUBLISHED, n.task or n.column, n.metric): n for n in published}

    @property
    def groups(self) -> list[tuple[str, Lines]]:
        """The groups of lines: (name, lines)."""
        return list(self._groups)

    def cell(self, row: Row, column: Column) -> int:
        """The place in `entries` of what is known of a cell."""
        if (row.model, column) not in self._cells:
            title = f"{row.model}: {column.task} {column.metric}"
            self._cells[row.model, column] = self.add(title, *self._of(row, column))
        return self._cells[row.model, column]

    def difference(self, row: Row, reference: Row, column: Column) -> int:
        """The same of a difference: both values, and what is known of either."""
        title = f"{row.model} minus {reference.model}: {column.task} {column.metric}"
        own = {one.model: one[column].value for one in (row, reference)}
        both = [self.entries[self.cell(one, column)][2] for one in (row, reference)]
        self.entries.append((title, _lines(own), list(dict.fromkeys([*both[0], *both[1]]))))
        return len(self.entries) - 1

    def _of(self, row: Row, column: Column) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
        if row.published:
            number = self._published[row.model, column.task, column.metric]
            own = {"value": f"{number.value:.{number.decimals}f}", "unit": number.unit}
            return own, {"published in": {name: getattr(number, name) for name in PRINTED}}
        result = self._results[row.model, column.task]
        return _metric(result, column.metric), _record(result)

    def add(self, title: str, own: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]) -> int:
        """Keep these lines; returns their place in `entries`."""
        keys = [(name, _lines(group)) for name, group in groups.items() if group]
        self.entries.append((title, _lines(own), [self._groups.setdefault(key, len(self._groups)) for key in keys]))
        return len(self.entries) - 1


def _metric(result: Result, name: str) -> dict[str, Any]:
    """What a record says of one of its metrics, or of its failure."""
    metric = next((metric for metric in result.metrics if metric.name == name), None)
    if metric is None:
        return {"failed": result.error, "traceback": result.traceback}
    return {
        "value": metric.value,
        "unit": metric.unit,
        "95% bootstrap interval": metric.ci95 and f"{metric.ci95[0]} to {metric.ci95[1]}",
        "samples scored": "not said" if metric.num_scored is None else metric.num_scored,
        "samples not scored": metric.num_unscored,
        "higher is better": metric.higher_is_better,
    }


def _record(result: Result) -> dict[str, Mapping[str, Any]]:
    """The rest of the record: all of it, so that a number can be repeated."""
    task = result.task.model_dump(exclude={"settings"})
    return {
        "task": {**task, "seed": result.seed, "limit": result.limit},
        "settings": result.task.settings,
        "data": result.dataset.model_dump(),
        "model": result.model.model_dump(exclude={"extra"}),
        "said by the checkpoint": result.model.extra,
        "timing": result.timing.model_dump(),
        "environment": result.environment,
        "details": result.details,
    }


def _lines(values: Mapping[str, Any]) -> Lines:
    return tuple((name, _text(value)) for name, value in values.items())


def _text(value: Any) -> str:
    """Text as it is, other values as JSON."""
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value, ensure_ascii=False)
