"""Parquet files, read by row groups, so that a file of any size takes little memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from mlcd_eval.data.scheme import Options
from mlcd_eval.data.sources.table import TableSource
from mlcd_eval.data.storage.table_index import Row
from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading

ROWS_AT_ONCE = 256


class ParquetFiles(TableSource):
    """The scheme `parquet`."""

    scheme = "parquet"
    suffixes = (".parquet",)

    def open_table(self, path: Path, options: Options) -> ParquetTable:
        """The table in a file, of which the metadata is read."""
        return ParquetTable(path)


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(f"{path} is no Parquet file"), pq.ParquetFile(path) as file:
            self.columns: tuple[str, ...] = tuple(file.schema_arrow.names)
            rows = file.metadata.num_rows
        if rows > path.stat().st_size:  # repeated values take no bytes, but no two samples are equal
            raise DataError(f"{path} says that it has {rows:,} rows, expected at most one per byte of it")

    def read(self, columns: list[str], place: int | None = None) -> ParquetCursor:
        """The rows of these columns from a row group on."""
        return ParquetCursor(self.path, columns, place or 0)


class ParquetCursor:
    """The rows of a Parquet file from a place, which is the number of a row group."""

    def __init__(self, path: Path, columns: list[str], group: int) -> None:
        self._path, self._columns, self._group = path, columns, group
        self._at_start = True  # of the row group that comes next
        self._rows = self._read()

    def _read(self) -> Iterator[Row]:
        with reading(f"{self._path} is damaged"), pq.ParquetFile(self._path) as file:
            while self._group < file.num_row_groups:
                batches = file.iter_batches(ROWS_AT_ONCE, row_groups=[self._group], columns=self._columns)
                self._group += 1
                left = file.metadata.row_group(self._group - 1).num_rows
                for batch in batches:
                    batch.validate(full=True)  # Arrow would follow wrong offsets out of its memory
                    for row in batch.to_pylist():
                        left -= 1
                        self._at_start = left == 0
                        yield row

    def __iter__(self) -> ParquetCursor:
        return self

    def __next__(self) -> Row:
        return next(self._rows)

    def place(self) -> int | None:
        """The next row group, where the next row is its first."""
        return self._group if self._at_start else None
