"""CSV and Parquet files to train on: a column of images, and one of captions if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from mlcd_eval.data.base import Sample
from mlcd_eval.data.scheme import Options
from mlcd_eval.data.sources.table import TableIndex, TableSource, existing_file
from mlcd_eval.data.sources.table_columns import Cells, Columns, Row, Where, named_column
from mlcd_eval.data.storage.rows import RowShard, files_identity
from mlcd_eval.data.storage.table_index import Part, SampleName, Table, index_of, rows_of
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.disk_memo import file_identity, memoised
from mlcd_train.data.shards import SequentialShard, TrainShard


def table_shards(
    source: TableSource, address: str, options: Options, split: str | None, memo: Path | None
) -> list[TrainShard]:
    """The rows of a file in shards of about 1,024. split: that of the rows that are read where a column says it, by
    default train.

    Raises ConfigError for a table without a column of images, DataError for one that cannot be read.
    """
    table = source.open_table(existing_file(options.get("train", address)), options)
    ref = f"{source.scheme}:{address}"
    image, caption, splits = (named_column(ref, role, table.columns, options) for role in ("image", "caption", "split"))
    if image is None:
        raise ConfigError(
            f"{ref} has no column for the image: got the columns {', '.join(table.columns)}; choose one by "
            "?image=COLUMN"
        )
    folder = Path(options["images"]).expanduser() if "images" in options else table.path.parent
    cells = Cells(Columns(image, caption or image, "retrieval" if caption else "images", splits), folder)
    reader = _TableReader(table, cells, caption is not None, split or "train" if splits else None)
    shards = reader.shards(memo)
    if not shards:
        raise DataError(f"{ref} has no rows of the split {reader.split or 'train'!r}, expected at least one image")
    return shards


class _TableReader:
    """The samples of a table. split: the one that is read, None where the table is one split."""

    def __init__(self, table: Table, cells: Cells, has_captions: bool, split: str | None) -> None:
        self._table, self._cells, self._has_captions, self.split = table, cells, has_captions, split
        columns = cells.columns
        self._columns = list(
            dict.fromkeys([columns.image, columns.target, *([columns.split] if columns.split else [])])
        )

    def shards(self, memo: Path | None) -> list[TrainShard]:
        """The parts that have samples of the split."""

        def index() -> TableIndex:
            return TableIndex(index_of(self._table, self._columns, self._name, joins_rows=self._has_captions), [])

        text = f"train {file_identity(self._table.path)} {self._cells} {self.split}"
        parts = (index() if memo is None else memoised(memo / "tables", text, TableIndex, index)).parts
        wanted = [part for part in parts if part.samples.get(self.split or "train")]
        return [SequentialShard(self._shard(part, memo)) for part in wanted]

    def _shard(self, part: Part, memo: Path | None) -> RowShard:
        samples: Callable[[], Iterator[Sample]] = partial(self._samples, part)

        def identity() -> str:
            table = f"{file_identity(self._table.path)} {self._cells} {self.split} {part.first}"
            return f"train {table} {files_identity(samples(), dangling=True)}"

        return RowShard(f"{self._table.path.name}/{part.first}", samples, memo, identity, dangling=True)

    def _name(self, row: Row, number: int) -> SampleName:
        where = Where(number, self._table.path)
        return SampleName(self._cells.split(row, where) if self.split else "train", self._cells.key(row, where))

    def _samples(self, part: Part) -> Iterator[Sample]:
        rows = ((row, Where(number, self._table.path)) for number, row in rows_of(self._table, self._columns, part))
        mine = (pair for pair in rows if self.split is None or self._cells.split(*pair) == self.split)
        for key, group in groupby(mine, key=lambda pair: self._cells.key(*pair)):
            pairs = list(group)
            texts = (text for pair in pairs for text in self._cells.captions(*pair)) if self._has_captions else ()
            yield Sample(key, self._cells.image(pairs[0][0], key), texts=tuple(texts))
