"""The tables of the atlas, results/published/atlas: an index that is always read, and files that are read when needed.

benchmarks/atlas/make.py writes these files and says what is in them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from mlcd_eval.support.bundled import published_dir
from mlcd_eval.support.documents import read_json
from mlcd_eval.tables.published.dialect import Dialect
from mlcd_eval.tables.published.models import Model, models
from mlcd_eval.tables.published.number import PublishedNumber, PublishedRow, Table, row_label


def atlas_tables() -> dict[str, Table]:
    """The tables by name, `SOURCE/TABLE`."""
    sources = {source["name"]: source for source in index()["sources"]}
    return {entry["group"]: AtlasTable(entry, sources[entry["source"]]) for entry in index()["tables"]}


@functools.cache
def index() -> Mapping[str, Any]:
    """sources: their address, commit, date and licence; tables: what is known of each without reading it."""
    return read_json(published_dir() / "atlas/index.json")


class AtlasTable(Table):
    """A file of the atlas, in which a row holds runs of values: the place of the first column, then the values."""

    def __init__(self, entry: Mapping[str, Any], source: Mapping[str, Any]) -> None:
        self._entry, self._source = entry, source
        self.group, self.source, self.title = entry["group"], entry["source"], entry["title"]
        self.table, self.setting = entry["table"], entry["setting"]
        self.printed_in = source["url"]

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return self._entry["numbers"]

    @property
    def places(self) -> frozenset[str]:
        """The `place` of each of its columns."""
        return frozenset(self._entry["places"])

    @property
    def notes(self) -> str | None:  # type: ignore[override]
        """Where sources disagree."""
        return self._content["notes"]

    @property
    def columns(self) -> list[str]:
        """The headings in the table's order."""
        return [heading for heading, *_ in self._content["columns"]]

    @cached_property
    def rows(self) -> list[PublishedRow]:
        """The rows in the table's order."""
        return [self._row(name, models()[key], note) for name, key, note, _ in self._content["rows"]]

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        return read_json(published_dir() / "atlas" / self._entry["file"])

    def numbers(
        self, row: Callable[[PublishedRow], bool] | None = None, place: Callable[[str], bool] | None = None
    ) -> Iterator[PublishedNumber]:
        """The numbers of the rows and places for which the functions are true; None for all."""
        if place is not None and not any(map(place, self.places)):
            return
        wanted = {
            number: self._about(column)
            for number, column in enumerate(self._content["columns"])
            if place is None or place(column[3] or f"{column[1]}/{column[2]}")
        }
        for known, (name, key, note, runs) in zip(self.rows, self._content["rows"], strict=True):
            if row is None or row(known):
                yield from self._numbers(self._who(name, models()[key], note), runs, wanted)

    def _numbers(
        self, who: Mapping[str, Any], runs: Sequence[Sequence[Any]], wanted: Mapping[int, Mapping[str, Any]]
    ) -> Iterator[PublishedNumber]:
        for start, *values in runs:
            for number, value in enumerate(values, start):
                if value is not None and number in wanted:
                    mean, *experiments = value if isinstance(value, list) else (value,)
                    yield PublishedNumber(**who, **wanted[number], value=mean, experiments=tuple(experiments))

    def _about(self, column: Sequence[Any]) -> dict[str, Any]:
        """What the numbers of a column share."""
        heading, protocol, dataset, task, metric, dialect, *rest = column
        extra = {name: value for name, value in rest[0].items() if name != "main"} if rest else {}
        return {
            "group": self.group,
            "paper": self._source["title"],
            "paper_url": self._source["url"],
            "paper_date": self._source["date"],
            "commit": self._source["commit"],
            "licence": self._source["licence"],
            "printed_in": self.printed_in,
            "table": self.table,
            "setting": self.setting,
            "column": heading,
            "protocol": protocol,
            "dataset": dataset,
            "task": task,
            "metric": metric,
            "unit": self._content["unit"],
            "decimals": self._content["decimals"],
            "dialect": self._dialects[dialect],
            **extra,
        }

    @cached_property
    def _dialects(self) -> list[Dialect]:
        return [Dialect(**dialect) for dialect in self._content["dialects"]]

    def _who(self, name: str, model: Model, note: str) -> dict[str, Any]:
        """What the numbers of a row share. A row of open_clip's is NAME/TAG, as the tables of papers have them."""
        by_tag = self.source in ("open_clip", "clip_benchmark")
        architecture, _, tag = name.partition("/") if by_tag else (name, "", "")
        return {
            "model": architecture,
            "architecture": None,
            "pretraining": tag or None,
            "source": " ".join(filter(None, (self.source, note))),
            "identity": model,
        }

    def _row(self, name: str, model: Model, note: str) -> PublishedRow:
        who = self._who(name, model, note)
        label = row_label(who["model"], None, who["pretraining"], who["source"])
        names = tuple(dict.fromkeys(filter(None, (label, name, model.key, model.hub))))
        return PublishedRow(label, name, names)
