"""A file of labels of one's own: a key and labels per row, as CSV, TSV, Parquet or JSON lines; and words as labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.data.sources.csv_files import CsvFiles
from mlcd_eval.data.sources.parquet_files import ParquetFiles
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import json_lines
from mlcd_eval.support.foreign import reading

KEY, LABELS = "key", "labels"
BETWEEN = ";"  # labels in a cell of CSV
TABLES = {".csv": CsvFiles(), ".tsv": CsvFiles(), ".parquet": ParquetFiles()}
SUFFIXES = (*TABLES, ".jsonl")
WORD = re.compile(r"\w+")


def words_of(texts: Sequence[str]) -> list[str]:
    """The words of texts in lower case, each once, in order."""
    return list(dict.fromkeys(word for text in texts for word in WORD.findall(text.lower())))


def read_label_file(path: Path) -> dict[str, tuple[str, ...]]:
    """The labels of each key, as text. Raises DataError for a file that is missing or of another form."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"assign.labels: got {path}, expected a file {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"assign.labels: there is no file {path}")
    labels: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(label_rows(path), start=1):
        where = f"{path}, row {number}"
        if row.get(KEY) is None or KEY not in row or LABELS not in row:
            raise DataError(f"{where}: got {', '.join(row) or 'nothing'}, expected {KEY} and {LABELS}")
        key = str(row[KEY])
        if key in labels:
            raise DataError(f"{where}: the key {key!r} is there twice, expected each once")
        labels[key] = _names(row[LABELS], where)
    if not any(labels.values()):
        raise DataError(f"{path} holds no labels: expected rows of {KEY} and {LABELS}")
    return labels


def label_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a label file; raises DataError where it cannot be read."""
    if path.suffix.lower() == ".jsonl":
        with reading(f"{path} cannot be read"), path.open(encoding="utf-8-sig") as lines:
            yield from (row for _, row in json_lines(lines, path))
        return
    table = TABLES[path.suffix.lower()].open_table(path, {})
    missing = {KEY, LABELS} - set(table.columns)
    if missing:
        raise DataError(f"{path} has the columns {', '.join(table.columns)}, expected {KEY} and {LABELS}")
    yield from table.read([KEY, LABELS])


def _names(cell: Any, where: str) -> tuple[str, ...]:
    """The labels of a cell: a list, a text with BETWEEN between them, a number, or nothing."""
    if cell is None:
        return ()
    parts = cell.split(BETWEEN) if isinstance(cell, str) else cell if isinstance(cell, list) else [cell]
    if any(not isinstance(part, str | int) or isinstance(part, bool) for part in parts):
        raise DataError(f"{where}: got the labels {str(cell)[:40]}, expected texts or whole numbers")
    return tuple(dict.fromkeys(name for part in parts if (name := str(part).strip())))
