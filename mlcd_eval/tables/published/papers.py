"""The tables of papers that this package reproduces, results/published/*.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from mlcd_eval.support.bundled import published_dir
from mlcd_eval.support.documents import read_json
from mlcd_eval.tables.published.dialect import Dialect
from mlcd_eval.tables.published.models import of_paper_row
from mlcd_eval.tables.published.number import PublishedNumber, PublishedRow, Table, row_label

SOURCE = "papers"


def paper_tables() -> dict[str, Table]:
    """The tables by the name of their file."""
    files = {file.stem: read_json(file) for file in sorted(published_dir().glob("*.json"))}
    return {name: PaperTable(name, content) for name, content in files.items() if content["kind"] == "numbers"}


class PaperTable(Table):
    """A file of results/published, in which a row maps headings to values."""

    source = SOURCE

    def __init__(self, group: str, content: Mapping[str, Any]) -> None:
        self.group = group
        self._content = content
        self.title, self.table = content["title"], content["table"]
        self.printed_in, self.setting = content["printed_in"], content["setting"]
        self.notes = content.get("notes")

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return sum(value is not None for row in self._content["rows"] for value in row["values"].values())

    @property
    def places(self) -> frozenset[str]:
        """The tasks of its columns."""
        return frozenset(number.place for number in self.numbers())

    @property
    def columns(self) -> list[str]:
        """The headings in the table's order."""
        return list(self._content["columns"])

    @cached_property
    def rows(self) -> list[PublishedRow]:
        """The rows in the table's order."""
        return [_row(row) for row in self._content["rows"]]

    def numbers(
        self, row: Callable[[PublishedRow], bool] | None = None, place: Callable[[str], bool] | None = None
    ) -> Iterator[PublishedNumber]:
        """The numbers of the rows and places for which the functions are true; None for all."""
        for known, content in zip(self.rows, self._content["rows"], strict=True):
            if row is None or row(known):
                for number in self._numbers(content):
                    if place is None or place(number.place):
                        yield number

    def _numbers(self, row: Mapping[str, Any]) -> Iterator[PublishedNumber]:
        table = self._content
        paper = row.get("paper", table["paper"])
        identity = of_paper_row(row["model"], row["architecture"], row["pretraining"])
        for column, value in row["values"].items():
            if value is None:  # the table has a dash
                continue
            meaning = table["columns"][column]
            yield PublishedNumber(
                group=self.group,
                paper=paper["title"],
                paper_url=paper["url"],
                paper_date=paper["date"],
                printed_in=self.printed_in,
                table=self.table,
                setting="; ".join(filter(None, (self.setting, row.get("setting")))),
                model=row["model"],
                architecture=row["architecture"],
                pretraining=row["pretraining"],
                source=row.get("source"),
                column=column,
                protocol=meaning["protocol"],
                dataset=meaning["dataset"],
                task=meaning["task"],
                metric=meaning["metric"],
                value=value,
                unit=meaning.get("unit", table["unit"]),
                decimals=meaning.get("decimals", table["decimals"]),
                dialect=Dialect(as_task=meaning["task"]),
                identity=identity,
                licence="facts read off a paper",
            )


def _row(row: Mapping[str, Any]) -> PublishedRow:
    parts = row["model"], row["architecture"], row["pretraining"]
    label, identity = row_label(*parts, row.get("source")), of_paper_row(*parts)
    keys = tuple(filter(None, (identity.key, identity.hub))) if identity else ()
    return PublishedRow(label, row["model"], (label, row["model"], *keys))
