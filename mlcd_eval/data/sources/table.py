"""A data set in tables: rows of images with labels or captions, whatever the format of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from mlcd_eval.data.base import Dataset, Sample, Split
from mlcd_eval.data.class_names import in_class_order, in_words
from mlcd_eval.data.labels import MAX_CLASSES, LabelRange
from mlcd_eval.data.prompts import read_class_names, read_templates
from mlcd_eval.data.scheme import DataFacts, Options, Source, names_of
from mlcd_eval.data.sources.table_columns import SPLITS, Cells, Columns, Row, Where, choose_columns, has_columns
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.rows import RowShard, files_identity
from mlcd_eval.data.storage.table_index import Part, SampleName, Table, index_of, rows_of
from mlcd_eval.errors import ConfigError, DataError, nearest
from mlcd_eval.support.disk_memo import file_identity, memoised

_VERSION = 1  # of what an index holds


class TableSource(Source):
    """A scheme of files of rows: `open_table` reads the columns of one. suffixes: of its files."""

    scheme: str
    suffixes: tuple[str, ...]

    def open_table(self, path: Path, options: Options) -> Table:
        """The table in a file; raises DataError where it cannot be read."""
        raise NotImplementedError

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The data set in a file, and in the file of the option `train`."""
        files: dict[str | None, str] = {None: address, **({"train": options["train"]} if "train" in options else {})}
        tables = {split: self.open_table(existing_file(file), options) for split, file in files.items()}
        return TableDataset(f"{self.scheme}:{address}", tables, options, name, cache)

    def default_name(self, address: str) -> str:
        """The file's name without its suffix."""
        return Path(address).stem

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The file called by the data set's name."""
        files = (root / f"{name}{suffix}" for name in names_of(facts) for suffix in self.suffixes)
        return next((str(file) for file in files if self._is_readable(file)), None)

    def discover(self, root: Path) -> list[str]:
        """The files directly in the root whose columns need no options."""
        files = (file for suffix in self.suffixes for file in root.glob(f"*{suffix}"))
        return [str(file) for file in files if self._is_readable(file)]

    def _is_readable(self, file: Path) -> bool:
        try:
            return file.is_file() and has_columns(self.open_table(file, {}).columns)
        except (DataError, ConfigError):
            return False


def existing_file(address: str) -> Path:
    """The path of a file; raises DataError where there is none, with the nearest name beside it."""
    path = Path(address).expanduser()
    if not path.is_file():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no file {path}{nearest(path.name, beside)}")
    return path


@dataclass(frozen=True)
class TableIndex:
    """What one pass over a table found. classes: its distinct labels."""

    parts: list[Part]
    classes: list[int | str]


class TableDataset:
    """Rows of a table as samples; a table without a column of splits is the split `test`.

    Labels are class indices, or words, whose classes are numbered in sorted order over all tables. Class names and
    templates are those of classnames.txt and zeroshot_classification_templates.txt beside the file, else the words.
    A sample's key is the path as it is written, else the number of its row.
    """

    def __init__(
        self, ref: str, tables: dict[str | None, Table], options: Options, name: str, cache: Path | None
    ) -> None:
        self.name, self._cache = name, cache
        first = tables[None]
        columns = choose_columns(ref, first.columns, options)
        for table in tables.values():
            choose_columns(f"{ref}: {table.path}", table.columns, _named(columns))
        self.kind = columns.kind
        self._sources = [
            _IndexedTable(table, Cells(columns, _image_folder(table, options)), split, f"{options}", cache)
            for split, table in tables.items()
        ]
        names = {split for source in self._sources for split in source.splits}
        self.splits: tuple[str, ...] = tuple(split for split in dict.fromkeys(SPLITS.values()) if split in names)
        if not self.splits:
            raise DataError(f"{ref} has no rows: got its columns only, expected at least one image")
        self._classes = _classes(ref, self._sources) if self.kind == "classification" else None
        self.num_classes: int | None = len(self._classes) if self._classes else None
        folder = LocalFolder(first.path.parent)
        words = in_words(map(str, self._classes)) if self._classes else None
        self.class_names = (read_class_names(folder) or words) if self.kind == "classification" else None
        self.templates = read_templates(folder) if self.kind == "classification" else None

    def split(self, name: str) -> Split:
        """One shard is about 1,024 rows of a file, without those of other splits."""
        if name not in self.splits:
            raise DataError(f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)}")
        shards = [shard for source in self._sources for shard in source.shards(name, self._classes)]
        return Split(self.name, name, shards)

    def groups(self, split: str) -> Mapping[str, str]:
        """Key -> group of every sample of a split, none without a column of groups."""
        return {key: group for source in self._sources for key, group in source.groups(split)}


def _named(columns: Columns) -> dict[str, str]:
    """The options that choose these columns."""
    target = "label" if columns.kind == "classification" else "caption"
    return {"image": columns.image, target: columns.target, **_if_named(columns)}


def _if_named(columns: Columns) -> dict[str, str]:
    optional = {"split": columns.split, "group": columns.group}
    return {role: name for role, name in optional.items() if name is not None}


def _image_folder(table: Table, options: Options) -> Path:
    return Path(options["images"]).expanduser() if "images" in options else table.path.parent


class _IndexedTable:
    """A table with its index. only: the split that all of its rows are, None where they say it."""

    def __init__(self, table: Table, cells: Cells, only: str | None, options: str, cache: Path | None) -> None:
        self.table, self._cells, self._only, self._cache = table, cells, only, cache
        self._identity = f"{_VERSION} {file_identity(table.path)} {cells} {only} {options}"
        if cache is None:
            self.index = self._read_through()
        else:
            self.index = memoised(cache / "tables", self._identity, TableIndex, self._read_through)
        self.splits = list(dict.fromkeys(split for part in self.index.parts for split in part.samples))

    def _read_through(self) -> TableIndex:
        """Check every cell, and whether the first image is there, which is not so in a wrong folder; raises DataError
        for the first that is wrong."""
        classes: dict[int | str, None] = {}
        kinds: dict[type, str] = {}

        def name(row: Row, number: int) -> SampleName:
            where = self._where(number)
            if self._cells.columns.kind == "classification":
                label = self._cells.label(row, where)
                classes[label] = None
                if self._cells.columns.group is not None:
                    self._cells.group(row, where)
                kinds.setdefault(type(label), f"{label!r} in row {number + 1}")
                if len(kinds) > 1 or len(classes) > MAX_CLASSES:
                    raise DataError(_label_problem(self.table, self._cells, list(kinds.values()), len(classes)))
            else:
                self._cells.captions(row, where)
            named = SampleName(self._split(row, where), self._cells.key(row, where))
            if number == 0:
                self._cells.check_file(row, named.key, where)
            return named

        columns = self._cells.columns
        joins_rows = columns.kind == "retrieval"
        return TableIndex(index_of(self.table, columns.used, name, joins_rows=joins_rows), list(classes))

    def _where(self, number: int) -> Where:
        return Where(number, self.table.path)

    def _split(self, row: Row, where: Where) -> str:
        return self._only or self._cells.split(row, where)

    def shards(self, split: str, classes: Sequence[int | str] | None) -> Iterator[RowShard]:
        """The parts that hold samples of a split. classes: of labels in words, by their index."""
        for number, part in enumerate(self.index.parts):
            if part.samples.get(split):
                samples: Callable[[], Iterator[Sample]] = partial(self._samples, part, split, classes)
                identity = partial(self._shard_identity, samples, number, split, classes)
                yield RowShard(f"{self.table.path.name}/{split}/{part.first}", samples, self._cache, identity)

    def groups(self, split: str) -> Iterator[tuple[str, str]]:
        """Key and group of each sample of a split."""
        if self._cells.columns.group is None:
            return
        for part in self.index.parts:
            for number, row in rows_of(self.table, self._cells.columns.used, part):
                where = self._where(number)
                if self._split(row, where) == split:
                    yield self._cells.key(row, where), self._cells.group(row, where)

    def _shard_identity(
        self, samples: Callable[[], Iterator[Sample]], number: int, split: str, classes: Sequence[int | str] | None
    ) -> str:
        return f"{self._identity} {number} {split} {classes} {files_identity(samples())}"

    def _samples(self, part: Part, split: str, classes: Sequence[int | str] | None) -> Iterator[Sample]:
        index = {label: number for number, label in enumerate(classes or ())}
        rows = rows_of(self.table, self._cells.columns.used, part)
        named = ((row, self._where(number)) for number, row in rows)
        mine = (entry for entry in named if self._split(*entry) == split)
        for key, group in groupby(mine, key=lambda entry: self._cells.key(*entry)):
            entries = list(group)
            row, where = entries[0]
            image = self._cells.image(row, key)
            if self._cells.columns.kind == "classification":
                label = self._cells.label(row, where)
                number = LabelRange(None).index(label, str(where)) if isinstance(label, int) else index[label]
                yield Sample(key, image, label=number)
            else:
                texts = tuple(text for row, where in entries for text in self._cells.captions(row, where))
                if not texts:
                    raise DataError(f"{where} has an empty caption: expected text in one row of the image {key!r}")
                yield Sample(key, image, texts=texts)


def _label_problem(table: Table, cells: Cells, examples: Sequence[str], count: int) -> str:
    column = f"column {cells.columns.target!r} of {table.path}"
    if len(examples) > 1:
        return f"{column} mixes class indices and words: got {' and '.join(examples)}, expected one of both"
    return f"{column} has more than {count - 1:,} different labels: expected classes, is it a column of captions?"


def _classes(ref: str, sources: Sequence[_IndexedTable]) -> list[int | str] | None:
    """The classes in words in sorted order over all tables; None where labels are class indices."""
    labels = {label for source in sources for label in source.index.classes}
    words = [label for label in labels if isinstance(label, str)]
    if words and len(words) < len(labels):
        raise DataError(f"{ref} mixes class indices and words: expected the same labels in the file of ?train=")
    return list(in_class_order(words)) or None
