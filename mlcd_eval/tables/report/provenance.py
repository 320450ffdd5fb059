"""Where each number of a report comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import Column, Row
from mlcd_eval.tables.published import PublishedNumber

PRINTED = ("paper", "paper_url", "paper_date", "commit", "licence", "printed_in", "table", "setting", "source")

Lines = tuple[tuple[str, str], ...]
"""Names and values as text."""


class Provenance:
    """What the page's buttons open.

    entries: (title, the lines of this number alone, the places in `groups` of the lines that it shares with others).
    folded: whether lines of one number alone are left out of the page, because it has too many numbers.
    """

    def __init__(self, folded: bool = False) -> None:
        self.folded = folded
        self.entries: list[tuple[str, Lines, list[int]]] = []
        self._groups: dict[tuple[str, Lines], int] = {}
        self._cells: dict[tuple[str, Column], int] = {}
        self._places: dict[int, tuple[Result, list[int]]] = {}
        self._parts: dict[tuple[Any, ...], tuple[object, int]] = {}

    @property
    def groups(self) -> list[tuple[str, Lines]]:
        """The groups of lines: (name, lines)."""
        return list(self._groups)

    def cell(self, row: Row, column: Column) -> int:
        """The place in `entries` of what is known of a cell."""
        if (row.model, column) not in self._cells:
            title = f"{row.model}: {column.full_name}"
            self._cells[row.model, column] = self.add(title, *self._of(row, column))
        return self._cells[row.model, column]

    def row(self, row: Row) -> int:
        """The place in `entries` of what is known of a published row's cells: their values, where they were printed and
        how they were measured."""
        sources = {column: cell.source for column, cell in row.cells.items()}
        printed = {column: source for column, source in sources.items() if isinstance(source, PublishedNumber)}
        values = {column.full_name: _printed(number) for column, number in printed.items()}
        places: dict[Lines, list[str]] = {}
        for column, number in printed.items():
            places.setdefault(_lines(_place(number)), []).append(column.name)
        groups = {
            "published in" if len(places) == 1 else f"published in ({', '.join(names)})": dict(lines)
            for lines, names in places.items()
        }
        how = {column.name: _how(number) for column, number in printed.items()}
        return self.add(row.model, values, {**groups, "measured with": how})

    def difference(self, row: Row, reference: Row, column: Column) -> int:
        """The place in `entries` of a difference: both values, and what is known of either."""
        title = f"{row.model} minus {reference.model}: {column.full_name}"
        values = {side.model: side[column].value for side in (row, reference)}
        both = [self.shared(side, column) for side in (row, reference)]
        self.entries.append((title, _lines(values), list(dict.fromkeys([*both[0], *both[1]]))))
        return len(self.entries) - 1

    def shared(self, row: Row, column: Column) -> list[int]:
        """The places in `groups` of what is known of a cell."""
        source = row[column].source
        if not (self.folded and isinstance(source, Result)):
            return self.entries[self.cell(row, column)][2]
        if id(source) not in self._places:  # the record is kept, and with it its id
            self._places[id(source)] = source, [self._place(*each) for each in _shared_parts(source)]
        return self._places[id(source)][1]

    def _place(self, name: str, part: object, more: Mapping[str, Any], lines: Callable[[], Mapping[str, Any]]) -> int:
        """The place of a group of lines about a part of a record; records of an index share their parts."""
        key = name, id(part), *more.values()
        if key not in self._parts:
            group = name, _lines({**lines(), **more})
            self._parts[key] = part, self._groups.setdefault(group, len(self._groups))
        return self._parts[key][1]

    def _of(self, row: Row, column: Column) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
        source = row[column].source
        assert source is not None, "a filled cell has a source"
        if isinstance(source, PublishedNumber):
            value = {"value": f"{source.value:.{source.decimals}f}", "unit": source.unit}
            return value, {"published in": {**_place(source), "measured with": _how(source)}}
        return _metric(source, column.metric), _record(source)

    def add(self, title: str, alone: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]) -> int:
        """Keep the lines of one number; returns their place in `entries`."""
        keys = [(name, _lines(group)) for name, group in groups.items() if group]
        self.entries.append((title, _lines(alone), [self._groups.setdefault(key, len(self._groups)) for key in keys]))
        return len(self.entries) - 1


def _printed(number: PublishedNumber) -> str:
    """The value as printed, with its unit."""
    return f"{number.value:.{number.decimals}f} {number.unit}"


def _place(number: PublishedNumber) -> dict[str, Any]:
    """Where a number was printed."""
    return {name: getattr(number, name) for name in PRINTED}


def _how(number: PublishedNumber) -> str:
    """How a number was measured."""
    return "the settings of this task" if number.dialect.as_task else number.dialect.text or "not stated"


def _metric(result: Result, name: str) -> dict[str, Any]:
    """What a record holds of one of its metrics, or of its failure."""
    metric = next((metric for metric in result.metrics if metric.name == name), None)
    if metric is None:
        return {"failed": result.error, "traceback": result.traceback}
    return {
        "value": metric.value,
        "unit": metric.unit,
        "95% bootstrap interval": metric.ci95 and f"{metric.ci95[0]} to {metric.ci95[1]}",
        "samples scored": "unknown" if metric.num_scored is None else metric.num_scored,
        "samples not scored": metric.num_unscored,
        "higher is better": metric.higher_is_better,
    }


def _record(result: Result) -> dict[str, Mapping[str, Any]]:
    """The rest of the record, so that the number can be repeated."""
    task = result.task.model_dump(exclude={"settings"})
    return {
        "task": {**task, "seed": result.seed, "limit": result.limit},
        "settings": result.task.settings,
        "data": result.dataset.model_dump(),
        "model": result.model.model_dump(exclude={"extra"}),
        "what its files and its kind say": result.model.extra,
        "timing": result.timing.model_dump(),
        **({"efficiency": result.efficiency.model_dump()} if result.efficiency else {}),
        "environment": result.environment,
        "details": result.details,
    }


Part = tuple[str, object, Mapping[str, Any], Callable[[], Mapping[str, Any]]]
"""Of a record: the name of a group of lines, what they are about, some of the lines, and a function for the others."""


def _shared_parts(result: Result) -> Iterator[Part]:
    """What records share: all groups of `_record` but the times."""
    task, model, run = result.task, result.model, {"seed": result.seed, "limit": result.limit}
    yield "task", task, run, lambda: task.model_dump(exclude={"settings"})
    yield "settings", task, {}, lambda: task.settings
    yield "data", result.dataset, {}, result.dataset.model_dump
    yield "model", model, {}, lambda: model.model_dump(exclude={"extra"})
    if model.extra:
        yield "what its files and its kind say", model, {}, lambda: model.extra
    yield "environment", result.environment, {}, lambda: result.environment
    if result.details:
        yield "details", result.details, {}, lambda: result.details


def _lines(values: Mapping[str, Any]) -> Lines:
    return tuple((name, _text(value)) for name, value in values.items())


def _text(value: Any) -> str:
    """Text as it is, other values as JSON."""
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value, ensure_ascii=False)
