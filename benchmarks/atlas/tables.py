"""The form of every table of the atlas: columns and rows, one per line, so that changes are easy to read."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mlcd_eval.tables.published.dialect import Dialect

Value = float | None | list[float]
"""A number, nothing, or a mean followed by the experiments that it is of."""


@dataclass(frozen=True)
class Column:
    """heading: as in the source, with the data set where it names none. dataset: this package's name of it where there
    is a task. extra: unit, decimals, chance and higher_is_better where they are not the table's."""

    heading: str
    protocol: str
    dataset: str
    task: str | None
    metric: str
    dialect: Dialect = field(default_factory=Dialect)
    extra: tuple[tuple[str, float | str | bool], ...] = ()

    @property
    def place(self) -> str:
        return self.task or f"{self.protocol}/{self.dataset}"


class Row(NamedTuple):
    """name: as in the source. identity: key of the model in models.json. note: what sets it apart from other rows."""

    name: str
    identity: str
    note: str
    values: dict[int, Value]


@dataclass
class Table:
    """group: its name in `mlcd-eval ls published`. file: the source's own file."""

    group: str
    source: str
    title: str
    file: str
    setting: str
    columns: list[Column]
    rows: list[Row]
    unit: str = "fraction"
    decimals: int = 4
    notes: str | None = None

    @property
    def stem(self) -> str:
        return self.group.replace("/", "_")

    @property
    def numbers(self) -> int:
        return sum(value is not None for row in self.rows for value in row.values.values())

    def text(self) -> str:
        """The file: a JSON object whose lists have one entry per line."""
        dialects = list(dict.fromkeys(column.dialect for column in self.columns))
        place = {dialect: number for number, dialect in enumerate(dialects)}
        columns = [
            [column.heading, column.protocol, column.dataset, column.task, column.metric, place[column.dialect]]
            + ([dict(column.extra)] if column.extra else [])
            for column in self.columns
        ]
        rows = [[row.name, row.identity, row.note, _runs(row.values)] for row in self.rows]
        head = {
            "kind": "atlas",
            "version": 1,
            **{
                name: getattr(self, name)
                for name in ("group", "source", "title", "file", "setting", "unit", "decimals", "notes")
            },
        }
        lists = {"dialects": [dialect.known() for dialect in dialects], "columns": columns, "rows": rows}
        return as_lines(head, lists)


def as_lines(head: dict[str, object], lists: dict[str, list]) -> str:
    """JSON of an object; the entries of its lists have a line each."""
    parts = [f"{compact(name)}:{compact(value)}" for name, value in head.items()]
    parts += [f"{compact(name)}:[\n" + ",\n".join(map(compact, rows)) + "\n]" for name, rows in lists.items()]
    return "{" + ",\n".join(parts) + "}\n"


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _runs(values: dict[int, Value]) -> list[list]:
    """[first column, values...] for every run of columns without a gap."""
    runs: list[list] = []
    last = None
    for place in sorted(values):
        if last is None or place != last + 1:
            runs.append([place])
        runs[-1].append(values[place])
        last = place
    return runs


def number(text: str) -> float | None:
    return None if text.strip() in ("", "nan") else float(text)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
