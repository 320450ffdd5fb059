"""CSV files, read row by row by the module csv, so that a file of any size takes little memory."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from mlcd_eval.data.scheme import Options
from mlcd_eval.data.sources.table import TableSource
from mlcd_eval.data.storage.table_index import Row
from mlcd_eval.errors import ConfigError, DataError

DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
LONGEST_CELL = 1 << 20  # characters; csv's own limit is 128 Ki


class CsvFiles(TableSource):
    """The scheme `csv`."""

    scheme = "csv"
    suffixes = (".csv", ".tsv")

    def open_table(self, path: Path, options: Options) -> CsvTable:
        """The table in a file, of which the first line is read."""
        delimiter = options.get("delimiter", "tab" if path.suffix.lower() == ".tsv" else "comma")
        encoding = options.get("encoding", "utf-8")
        try:
            is_utf8 = codecs.lookup(encoding).name == "utf-8"
        except LookupError:
            raise ConfigError(
                f"csv:{path} has encoding={encoding}: expected a name such as latin-1 or cp1252"
            ) from None
        return CsvTable(path, DELIMITERS.get(delimiter, delimiter), "utf-8-sig" if is_utf8 else encoding)


class CsvTable:
    """A CSV file whose first line names the columns."""

    def __init__(self, path: Path, delimiter: str, encoding: str) -> None:
        self.path, self.delimiter, self.encoding = path, delimiter, encoding
        header = CsvCursor(self, None).header
        self.columns = tuple(name.strip() for name in header)
        others = [name for name, mark in DELIMITERS.items() if mark != " " and any(mark in column for column in header)]
        if len(header) == 1 and others:
            raise ConfigError(
                f"csv:{path} has the one column {header[0]!r}: choose what is between columns by ?delimiter={others[0]}"
            )
        repeated = {name for name in self.columns if self.columns.count(name) > 1}
        if repeated:
            raise DataError(f"{path} has several columns called {', '.join(sorted(repeated))}: expected one each")

    def require(self, columns: Sequence[str]) -> None:
        """Raise DataError unless all of these are there."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise DataError(f"{self.path} lacks the columns {', '.join(missing)}: got {', '.join(self.columns)}")

    def read(self, columns: list[str], place: int | None = None) -> CsvCursor:
        """The rows, with all columns: cells are split anyway."""
        return CsvCursor(self, place)


class CsvCursor:
    """The rows of a CSV file from a place, which is a position of its text."""

    def __init__(self, table: CsvTable, place: int | None) -> None:
        self._table = table
        self._file: TextIO = table.path.open(encoding=table.encoding, newline="")
        self._rows = csv.reader(self._lines(), delimiter=table.delimiter, strict=True)
        csv.field_size_limit(LONGEST_CELL)
        if place is None:
            self.header = self._next() or []
            if not self.header:
                raise DataError(f"{table.path} is empty: expected a line with the names of the columns")
        else:
            self._file.seek(place)

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline():  # iteration over the file would forbid tell()
            yield line

    def _next(self) -> list[str] | None:
        path, encoding = self._table.path, self._table.encoding
        try:
            return next(self._rows, None)
        except csv.Error as error:
            raise DataError(f"{path} is no CSV file in line {self._rows.line_num}: {error}") from error
        except UnicodeError as error:
            name = encoding.removesuffix("-sig")
            raise DataError(
                f"{path} is not {name} after line {self._rows.line_num}: {error}; give its encoding by "
                f"?encoding=latin-1 or another"
            ) from error

    def __iter__(self) -> CsvCursor:
        return self

    def __next__(self) -> Row:
        columns = self._table.columns
        cells = self._next()
        while cells == []:  # a blank line
            cells = self._next()
        if cells is None:
            self._file.close()
            raise StopIteration
        if len(cells) != len(columns):
            raise DataError(
                f"{self._table.path} has {len(cells)} cells in line {self._rows.line_num}: expected {len(columns)}, "
                f"one per column ({', '.join(columns)})"
            )
        return dict(zip(columns, cells, strict=True))

    def place(self) -> int:
        """The position of the next row."""
        return self._file.tell()
