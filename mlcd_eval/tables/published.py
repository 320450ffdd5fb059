"""The numbers that papers print, read from results/published/*.json."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.support.bundled import published_dir
from mlcd_eval.support.documents import read_json

PRINTED_MEAN = "mean"
"""The metric of a paper's column of averages, which a leaderboard computes itself."""


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One number of one table, as printed.

    group: the file that holds its table. source: who measured it, where that is not the paper itself. printed_in:
    the document that prints it. column: its heading there. task: the task of this package, where there is one;
    metric: as records name it. value: in `unit` (percent, fraction or points), printed with `decimals`.
    """

    group: str
    paper: str
    paper_url: str
    paper_date: str
    printed_in: str
    table: str
    setting: str
    model: str
    architecture: str | None
    pretraining: str | None
    source: str | None
    column: str
    protocol: str
    dataset: str
    task: str | None
    metric: str
    value: float
    unit: str
    decimals: int

    @property
    def label(self) -> str:
        """The row's name in a table, such as `CLIP ViT-L/14, WIT-400M (reported in the CLIP paper)`."""
        data = f", {self.pretraining}" if self.pretraining else ""
        source = f" ({self.source})" if self.source else ""
        return " ".join(filter(None, (self.model, self.architecture))) + data + source

    @property
    def fraction(self) -> float | None:
        """The value as records hold it; None for points."""
        return {"fraction": self.value, "percent": self.value / 100}.get(self.unit)


@dataclass(frozen=True)
class PublishedTable:
    """A table as it was printed. columns: their headings in its order; notes: where sources disagree."""

    group: str
    title: str
    table: str
    printed_in: str
    setting: str
    notes: str | None
    columns: list[str]
    numbers: list[PublishedNumber]


def groups() -> list[str]:
    """The names of the tables."""
    return list(_tables())


def published_table(group: str) -> PublishedTable:
    """One table; raises ConfigError for an unknown name."""
    tables = _tables()
    if group not in tables:
        raise ConfigError(
            f"no published table is called {group!r}, expected one of {', '.join(tables)}{nearest(group, tables)}"
        )
    table = tables[group]
    return PublishedTable(
        group=group,
        title=table["title"],
        table=table["table"],
        printed_in=table["printed_in"],
        setting=table["setting"],
        notes=table.get("notes"),
        columns=list(table["columns"]),
        numbers=list(_numbers(group, table)),
    )


def published_numbers(group: str | None = None) -> list[PublishedNumber]:
    """The numbers of one table, or of all; raises ConfigError for an unknown table."""
    if group is not None:
        return published_table(group).numbers
    return [number for name, table in _tables().items() for number in _numbers(name, table)]


def _tables() -> dict[str, dict[str, Any]]:
    """The contents of the files that hold numbers, by file name."""
    files = {file.stem: read_json(file) for file in sorted(published_dir().glob("*.json"))}
    return {name: table for name, table in files.items() if table["kind"] == "numbers"}


def _numbers(group: str, table: dict[str, Any]) -> Iterator[PublishedNumber]:
    for row in table["rows"]:
        paper = row.get("paper", table["paper"])
        for column, value in row["values"].items():
            if value is None:  # the table has a dash
                continue
            meaning = table["columns"][column]
            yield PublishedNumber(
                group=group,
                paper=paper["title"],
                paper_url=paper["url"],
                paper_date=paper["date"],
                printed_in=table["printed_in"],
                table=table["table"],
                setting="; ".join(filter(None, (table["setting"], row.get("setting")))),
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
            )
