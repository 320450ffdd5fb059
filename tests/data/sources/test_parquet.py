"""Parquet files as data."""

import pyarrow as pa
import pytest
from table_files import parquet, samples

from mlcd_eval.data import open_dataset
from mlcd_eval.errors import DataError


def test_parquet_of_bytes_and_of_paths(write, tmp_path, make):
    write("")
    images = [make.image((number, 0, 0)) for number in range(3)]
    file = parquet(tmp_path / "bytes.parquet", {"image": images, "label": ["b", "a", "b"]})
    dataset = open_dataset(f"parquet:{file}")
    assert [(s.key, s.image, s.label) for s in samples(dataset)] == [
        ("0", images[0], 1),
        ("1", images[1], 0),
        ("2", images[2], 1),
    ]
    structs = [{"bytes": images[0], "path": "x.png"}, {"bytes": None, "path": "a.png"}]  # as `datasets` writes them
    file = parquet(tmp_path / "structs.parquet", {"image": structs, "captions": [["one", "two"], ["three", None]]})
    read = samples(open_dataset(f"parquet:{file}"))
    assert [(s.key, s.texts) for s in read] == [("0", ("one", "two")), ("a.png", ("three",))]
    assert (read[0].image, read[1].image) == (images[0], tmp_path / "a.png")


def test_row_groups_are_shards_of_whole_samples(tmp_path):
    rows = {"path": [f"{number // 5}.png" for number in range(6002)], "caption": [str(n) for n in range(6002)]}
    file = parquet(tmp_path / "many.parquet", rows, row_group_size=1502)
    (tmp_path / "0.png").touch()
    dataset = open_dataset(f"parquet:{file}")
    sizes = [[len(sample.texts) for sample in shard.samples()] for shard in dataset.split("test").shards]
    assert [sum(size) for size in sizes] == [1505, 1500, 1505, 1492]  # from the first new image of a row group on
    read = [(sample.key, text) for sample in samples(dataset) for text in sample.texts]
    assert read == list(zip(rows["path"], rows["caption"], strict=True))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"], "label": [1.5]}, "row 1 of .* has no label: got 1.5 in column 'label'"),
        ({"image": [b"x"], "label": pa.array([None], pa.int64())}, "has no label: got None"),
        ({"image": pa.array([None], pa.binary()), "label": [1]}, "row 1 of .* has no image: got None"),
        ({"image": [b"x"], "caption": [[]]}, "row 1 of .* has an empty caption"),
        ({"image": [b"x"], "caption": [3]}, "has no caption: got 3 in column 'caption', expected text"),
        ({"image": [{"bytes": None, "path": "../a.png"}], "label": [0]}, "'../a.png', which is outside"),
    ],
)
def test_what_is_wrong_in_parquet(tmp_path, columns, message):
    with pytest.raises(DataError, match=message):
        open_dataset(f"parquet:{parquet(tmp_path / 'x.parquet', columns)}").split("test").scan()


def test_no_parquet_file(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"x.parquet is no Parquet file: ") as raised:
        open_dataset(f"parquet:{tmp_path}/x.parquet")
    assert "\n" not in str(raised.value)


def test_a_parquet_file_with_more_rows_than_bytes_is_refused(tmp_path):
    """A run-length code of a billion equal values takes a few bytes."""
    rows = 200_000
    file = parquet(tmp_path / "bomb.parquet", {"image": ["a.png"] * rows, "label": [0] * rows})
    assert file.stat().st_size < rows
    with pytest.raises(DataError, match=r"bomb.parquet says that it has 200,000 rows, expected at most one per byte"):
        open_dataset(f"parquet:{file}")
