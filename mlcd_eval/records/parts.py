"""Records as rows of JSON, in which what many records have alike is a number."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, TypeVar

from pydantic import BaseModel

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.records.result import (
    DatasetRecord,
    ModelRecord,
    OutcomesRecord,
    RequestRecord,
    Result,
    TaskRecord,
    Timing,
)

SHARED: dict[str, type[BaseModel] | None] = {
    "task": TaskRecord,
    "dataset": DatasetRecord,
    "model": ModelRecord,
    "environment": None,
    "details": None,
    "efficiency": Efficiency,
}
"""Fields of a record that many records have alike, and their classes: the index, and the memory of a process that reads
it, hold each value once."""
SINGLE: dict[str, type[BaseModel]] = {"timing": Timing, "request": RequestRecord, "outcomes": OutcomesRecord}
"""Fields that have a class and differ from record to record."""
KINDS: tuple[type[BaseModel], ...] = (Result, Metric, *SINGLE.values())
FIELDS = {kind: tuple(kind.model_fields) for kind in KINDS}
FIELDS_SET = {kind: set(fields) for kind, fields in FIELDS.items()}
VALUES = {kind: attrgetter(*fields) for kind, fields in FIELDS.items()}
"""Class -> a function that returns the values of an instance's fields."""

M = TypeVar("M", bound=BaseModel)


class Parts:
    """The values that records share. texts: as JSON, by their numbers in rows."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = list(texts)
        self._numbers = {text: number for number, text in enumerate(self.texts)}
        self._values: dict[tuple[str, int], Any] = {}

    def row(self, result: Result) -> list[Any]:
        """Return the entries of a record's fields, in their order."""
        return [self.entry(field, value) for field, value in zip(FIELDS[Result], VALUES[Result](result), strict=True)]

    def entry(self, field: str, value: Any) -> Any:
        """Return what stands in a row for the value of a field: a number for one that is shared."""
        if field in SHARED:
            return self.number(json.dumps(value.model_dump(mode="json") if isinstance(value, BaseModel) else value))
        if field == "metrics":
            return list(map(VALUES[Metric], value))
        return value and VALUES[SINGLE[field]](value) if field in SINGLE else value

    def number(self, text: str) -> int:
        """Return the number of a shared value from its JSON."""
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]

    def result(self, row: list[Any]) -> Result:
        """Return the record of a row. It was checked when its file was read."""
        values = dict(zip(FIELDS[Result], row, strict=True))
        for field in SHARED:
            values[field] = self._value(field, values[field])
        values["metrics"] = tuple(map(_metric, values["metrics"]))
        for field, kind in SINGLE.items():
            values[field] = values[field] and _made(kind, values[field])
        return _made(Result, list(values.values()))

    def used(self) -> Iterator[bytes]:
        """Yield the text of each value that a record had, and nothing for others, whose numbers stay."""
        numbers = {number for _, number in self._values}
        yield from (text.encode() if number in numbers else b"" for number, text in enumerate(self.texts))

    def _value(self, field: str, number: int) -> Any:
        if (field, number) not in self._values:
            kind, value = SHARED[field], json.loads(self.texts[number])
            self._values[field, number] = kind.model_validate(value) if kind and value is not None else value
        return self._values[field, number]


def _metric(row: list[Any]) -> Metric:
    name, value, unit, *others, ci95 = row
    return _made(Metric, [sys.intern(name), value, sys.intern(unit), *others, ci95 and tuple(ci95)])


_set = object.__setattr__


def _made(kind: type[M], values: list[Any]) -> M:
    """The instance of a class with these values of its fields, as unpickling makes one: quickly, and without a set of
    names of its own."""
    made = kind.__new__(kind)
    _set(made, "__dict__", dict(zip(FIELDS[kind], values, strict=True)))
    _set(made, "__pydantic_fields_set__", FIELDS_SET[kind])
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made
