"""The index of a table, against all of its rows: parts of whole samples that can be begun where the file allows."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlcd_eval.data.storage import table_index
from mlcd_eval.data.storage.table_index import SampleName, index_of, rows_of
from mlcd_eval.errors import DataError


class Rows:
    """A cursor that can begin with every second row."""

    def __init__(self, rows, place):
        self.rows, self.at = rows, place

    def __iter__(self):
        return self

    def __next__(self):
        if self.at == len(self.rows):
            raise StopIteration
        self.at += 1
        return self.rows[self.at - 1]

    def place(self):
        return self.at if self.at % 2 == 0 else None


@dataclass
class Listed:
    """A table of one column, `key`. reads: from where it was read."""

    keys: str
    path: Path = Path("t.csv")
    columns: tuple = ("key",)
    reads: list = field(default_factory=list)

    def read(self, columns, place=None):
        assert columns == ["key"]
        self.reads.append(place)
        return Rows([{"key": key} for key in self.keys], place or 0)


def name(row, number):
    return SampleName("train" if row["key"] < "n" else "test", row["key"])


@pytest.fixture(autouse=True)
def three_rows_a_part(monkeypatch):
    monkeypatch.setattr(table_index, "ROWS_PER_SHARD", 3)


def keys(table, part):
    return "".join(row["key"] for _, row in rows_of(table, ["key"], part))


def placed(parts):
    return [(part.place, part.skip, part.first, part.rows) for part in parts]


def test_parts_begin_where_the_file_allows():
    """After three rows the next place is the fifth row, and so on: parts of four."""
    table = Listed("abcdefghijz")
    parts = index_of(table, ["key"], name, joins_rows=False)
    assert [keys(table, part) for part in parts] == ["abcd", "efgh", "ijz"]
    assert placed(parts) == [(None, 0, 0, 4), (4, 0, 4, 4), (8, 0, 8, 3)]
    assert [part.samples for part in parts] == [{"train": 4}, {"train": 4}, {"train": 2, "test": 1}]
    assert [number for number, _ in rows_of(table, ["key"], parts[1])] == [4, 5, 6, 7]


def test_rows_of_one_sample_stay_together():
    """The sample of the place where a part could begin goes on: the part begins behind it, by rows that are skipped."""
    parts = index_of(table := Listed("abbccccdeefz"), ["key"], name, joins_rows=True)
    assert " ".join(keys(table, part) for part in parts) == "abbcccc dee fz"
    assert placed(parts) == [(None, 0, 0, 7), (6, 1, 7, 3), (10, 0, 10, 2)]
    assert [part.samples for part in parts] == [{"train": 3}, {"train": 2}, {"train": 1, "test": 1}]


def test_a_table_without_rows_is_one_part():
    (part,) = index_of(Listed(""), ["key"], name, joins_rows=True)
    assert (part.rows, part.samples) == (0, {})


@pytest.mark.parametrize(
    ("text", "joins", "message"),
    [
        ("abcb", False, "t.csv has 'b' in row 2 and in row 4: expected it once"),
        ("abb", False, "t.csv has 'b' in row 2 and in row 3: expected it once"),
        (
            "abbcb",
            True,
            r"t.csv has 'b' in row 2 and in row 5: expected the rows of one image one after another \(sort",
        ),
    ],
)
def test_two_samples_of_one_name_are_refused(text, joins, message):
    with pytest.raises(DataError, match=f"^{message}"):
        index_of(Listed(text), ["key"], name, joins_rows=joins)


def test_one_hash_of_two_names_is_no_repetition(monkeypatch):
    class Same(str):
        def __hash__(self):
            return 7

    table = Listed("abc")
    assert len(index_of(table, ["key"], lambda row, _: SampleName(Same("x"), Same(row["key"])), joins_rows=True)) == 1
    assert len(table.reads) == 2  # it was read again to see
    assert len(index_of(Listed("abc"), ["key"], name, joins_rows=True)) == 1
