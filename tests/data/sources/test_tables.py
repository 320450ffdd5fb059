"""CSV and Parquet files: columns, labels, captions, splits, and everything that can be wrong in them."""

import csv
import tracemalloc
from urllib.parse import quote

import pytest
from table_files import parquet, samples

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint
from mlcd_eval.data.open import discover
from mlcd_eval.data.sources import table
from mlcd_eval.errors import ConfigError, DataError


def test_labels_in_words_are_classes_in_sorted_order(write):
    file = write("path,label\na.png,sea_horse\nb.png,cat\n\ndeep/d.png,cat\n")
    dataset = open_dataset(f"csv:{file}")
    assert (dataset.name, dataset.kind, dataset.splits) == ("data", "classification", ("test",))
    assert (dataset.class_names, dataset.num_classes) == (("cat", "sea horse"), 2)
    assert [(s.key, s.label) for s in samples(dataset)] == [("a.png", 1), ("b.png", 0), ("deep/d.png", 0)]
    assert samples(dataset)[2].image == file.parent / "deep" / "d.png"


def test_labels_that_are_class_indices(write):
    file = write("Image,Label\na.png,10\nb.png, 2\n")
    dataset = open_dataset(f"csv:{file}")
    assert [sample.label for sample in samples(dataset)] == [10, 2]
    assert (dataset.class_names, dataset.num_classes) == (None, None)
    (file.parent / "classnames.txt").write_text("\n".join("abcdefghijk"))
    assert open_dataset(f"csv:{file}").class_names == tuple("abcdefghijk")


def test_captions_of_repeated_rows(write):
    file = write("filepath\ttitle\na.png\tone\na.png\t two \na.png\t\nb.png\tthree\n", "data.tsv")
    dataset = open_dataset(f"csv:{file}")
    assert dataset.kind == "retrieval"
    assert [(s.key, s.texts) for s in samples(dataset)] == [("a.png", ("one", "two")), ("b.png", ("three",))]


def test_columns_and_marks_by_options(write):
    file = write("id;src;kind;note\n1;a.png;x;'hello'\n2;b.png;y;'a, b'\n")
    dataset = open_dataset(f"csv:{file}?image=src&label=kind&delimiter=semicolon")
    assert [sample.label for sample in samples(dataset)] == [0, 1]
    dataset = open_dataset(f"csv:{file}?image=src&caption=note&delimiter={quote(';')}")
    assert [sample.texts for sample in samples(dataset)] == [("'hello'",), ("'a, b'",)]
    file = write("path,label,caption\na.png,x,y\n")
    assert open_dataset(f"csv:{file}?caption=caption").kind == "retrieval"
    with pytest.raises(ConfigError, match=r"labels \(label\) and captions \(caption\): choose by \?label=label or"):
        open_dataset(f"csv:{file}")
    with pytest.raises(ConfigError, match="both label and caption"):
        open_dataset(f"csv:{file}?caption=caption&label=label")


def test_splits_of_a_column_and_of_another_file(write):
    rows = "path,label,split\na.png,cat,train\nb.png,dog,test\nc.png,cat,Validation\ndeep/d.png,dog,train\n"
    dataset = open_dataset(f"csv:{write(rows)}")
    assert dataset.splits == ("train", "val", "test")
    assert [[sample.key for sample in samples(dataset, split)] for split in dataset.splits] == [
        ["a.png", "deep/d.png"],
        ["c.png"],
        ["b.png"],
    ]
    train, test = write("path,label\na.png,x\n", "train.csv"), write("path,label\na.png,y\n", "test.csv")
    dataset = open_dataset(f"csv:{test}?train={train}")
    assert dataset.splits == ("train", "test")
    assert dataset.class_names == ("x", "y")  # over both files
    assert (samples(dataset, "train")[0].label, samples(dataset)[0].label) == (0, 1)
    with pytest.raises(DataError, match=r"has no split 'val': got one of train, test$"):
        dataset.split("val")
    numbers = write("path,label\na.png,1\n", "numbers.csv")
    with pytest.raises(DataError, match=r"mixes class indices and words: expected the same labels in the file of \?tr"):
        open_dataset(f"csv:{test}?train={numbers}")
    other = write("path,text\na.png,x\n", "other.csv")
    with pytest.raises(ConfigError, match=r"other.csv has no column 'label' for label: got the columns path, text"):
        open_dataset(f"csv:{test}?train={other}")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "pth,lable\na.png,x\n",
            ConfigError,
            r"has no column for the image: got the columns pth, lable; choose one by \?image=COLUMN$",
        ),
        (
            "path,lable\na.png,x\n",
            ConfigError,
            r"no column for the label or caption: got the columns path, lable; choose one by \?label=COLUMN or \?cap",
        ),
        ("path,file,label\na.png,b.png,x\n", ConfigError, r"several columns for image: got path, file; choose by"),
        ("path,label,label\na.png,1,2\n", DataError, "several columns called label"),
        ("path;label\na.png;x\n", ConfigError, r"has the one column 'path;label': choose .* by \?delimiter=semicolon"),
        ("", DataError, "is empty: expected a line with the names of the columns"),
        ("path,label\n", DataError, "has no rows: got its columns only"),
        ("path,label\na.png,x\nb.png\n", DataError, r"has 1 cells in line 3: expected 2, one per column \(path, label"),
        ('path,label\n"a.png,x\n', DataError, "is no CSV file in line 2: unexpected end of data"),
        ("path,label\na.png,\n", DataError, r"row 1 of .*data.csv has no label: got '' in column 'label'"),
        ("path,label\n ,x\n", DataError, r"row 1 of .*data.csv has no image: got ' ' in column 'path'"),
        (
            "path,label\na.png,3\nb.png,cat\n",
            DataError,
            r"'label' of .* mixes class indices and words: got 3 in row 1",
        ),
        ("path,label\na.png,-1\n", DataError, "label of row 1 of .* is out of range: got -1, expected 0 to 999999"),
        ("path,label\na.png,12345678901\n", DataError, "is out of range: got 12345678901"),
        ("path,label\na.png,x\na.png,y\n", DataError, "has 'a.png' in row 1 and in row 2: expected it once"),
        ("path,caption\na.png,x\nb.png,y\na.png,z\n", DataError, "'a.png' in row 1 and in row 3: .* one after another"),
        ("path,caption\na.png,x\nb.png, \n", DataError, "row 2 of .* has an empty caption: expected text in one row"),
        (
            "path,label\n../x.png,x\n",
            DataError,
            r"row 1 of .* has the image '../x.png', which is outside",
        ),
        ("path,label\n/etc/x.png,x\n", DataError, "has the image '/etc/x.png', which is outside"),
        (
            "path,label\nhttps://x.org/a.png,x\n",
            DataError,
            "has the web address 'https://x.org/a.png': expected",
        ),
        (
            "path,label,split\na.png,x,tset\n",
            DataError,
            r"is of the split 'tset': .*did you mean 'test'",
        ),
        (
            "path,label\na.png,x\nnone.png,x\n",
            DataError,
            "the image of sample 'none.png' is missing: there is no file",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(write, text, error, message):
    with pytest.raises(error, match=message) as raised:
        open_dataset(f"csv:{write(text)}").split("test").scan()
    assert "\n" not in str(raised.value)


def test_too_many_labels_are_captions(write, monkeypatch):
    file = write("path,label\na.png,x\nb.png,y\nc.png,x\ndeep/d.png,z\n")
    monkeypatch.setattr(table, "MAX_CLASSES", 3)
    assert open_dataset(f"csv:{file}").num_classes == 3
    monkeypatch.setattr(table, "MAX_CLASSES", 2)
    with pytest.raises(
        DataError, match=r"column 'label' of .* has more than 2 different labels: .* column of captions"
    ):
        open_dataset(f"csv:{file}")


def test_a_column_by_its_wrong_name_and_a_missing_file(write, tmp_path):
    file = write("path,label\na.png,x\n")
    with pytest.raises(
        ConfigError, match=r"no column 'lable' for label: got the columns path, label \(did you mean 'la"
    ):
        open_dataset(f"csv:{file}?label=lable")
    with pytest.raises(DataError, match=r"there is no file .*/date.csv \(did you mean 'data.csv'\?\)"):
        open_dataset(f"csv:{tmp_path}/date.csv")
    for option, expected in {
        "delimiter=xy": "the character between columns",
        "encoding=utf-9": "a name such as",
    }.items():
        with pytest.raises(ConfigError, match=f"has {option}: expected {expected}"):
            open_dataset(f"csv:{file}?{option}")


def test_encodings(write):
    rows = "path,label\na.png,café\nb.png,thé\n"
    for encoding in ("latin-1", "utf-16"):
        file = write(rows, encoding=encoding)
        with pytest.raises(DataError, match=r"is not utf-8 .*give its encoding by \?encoding=latin-1") as raised:
            open_dataset(f"csv:{file}")
        assert "\n" not in str(raised.value)
        assert open_dataset(f"csv:{file}?encoding={encoding}").class_names == ("café", "thé")
    assert open_dataset(f"csv:{write(rows, encoding='utf-8-sig')}").class_names == ("café", "thé")


def test_images_of_another_folder(write, tmp_path):
    (tmp_path / "lists").mkdir()
    file = write("path,label\na.png,x\n", "lists/data.csv")
    assert samples(open_dataset(f"csv:{file}?images={tmp_path}"))[0].image == tmp_path / "a.png"


def test_a_wrong_folder_of_images_is_seen_when_the_table_is_opened(write, tmp_path):
    file = write("path,label\nd.png,x\n")
    with pytest.raises(DataError) as raised:
        open_dataset(f"csv:{file}")
    assert str(raised.value) == (
        f"row 1 of {file} has the image 'd.png', which is missing: there is no file {tmp_path}/d.png "
        f"(?images={tmp_path}/deep names that folder)"
    )
    assert samples(open_dataset(f"csv:{file}?images={tmp_path}/deep"))[0].image == tmp_path / "deep" / "d.png"
    with pytest.raises(DataError, match=r"no file .*/none.png \(\?images=DIR names the folder\)$"):
        open_dataset(f"csv:{write('path,label' + chr(10) + 'none.png,x')}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_shards_begin_where_the_last_one_ended(tmp_path, encoding):
    """Captions of one image stay together, and lines within quotes are no rows."""
    rows = [(f"{number // 3}.png", f"größe {number}\nline two") for number in range(4000)]
    with (tmp_path / "many.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([("path", "caption"), *rows])
    (tmp_path / "0.png").touch()
    dataset = open_dataset(f"csv:{tmp_path / 'many.csv'}?encoding={encoding.removesuffix('-sig')}")
    split = dataset.split("test")
    assert [sum(len(s.texts) for s in shard.samples()) for shard in split.shards] == [1026, 1026, 1026, 922]
    read = [(sample.key, text) for sample in samples(dataset) for text in sample.texts]
    assert read == rows


@pytest.mark.parametrize("rows", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_large_file_takes_little_memory(tmp_path, rows):
    """The numbers of its rows, and nothing else that grows with them: the paths alone would take 80 bytes per row."""
    file = tmp_path / "large.csv"
    with file.open("w") as out:
        out.write("path,label,split\n")
        for number in range(rows):
            out.write(f"folder/{number:08d}.png,{number % 10},{'train' if number % 4 else 'test'}\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "00000000.png").touch()
    open_dataset(f"csv:{file}")  # what is imported only now is no memory of the file
    tracemalloc.start()
    dataset = open_dataset(f"csv:{file}")
    last = [list(dataset.split(split).shards[-1].samples())[-1] for split in dataset.splits]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [sample.key for sample in last] == [f"folder/{rows - 1:08d}.png", f"folder/{rows - 4:08d}.png"]
    assert peak < 2**20 + 40 * rows, f"{peak:,} bytes"


def test_the_index_is_kept(write, tmp_path, monkeypatch):
    file = write("path,label\na.png,x\nb.png,y\n")
    first = open_dataset(f"csv:{file}", cache=tmp_path / "cache")
    scan = first.split("test").scan()
    monkeypatch.setattr("mlcd_eval.data.sources.table.index_of", lambda *_, **__: pytest.fail("read again"))
    again = open_dataset(f"csv:{file}", cache=tmp_path / "cache")
    assert (again.class_names, again.split("test").scan()) == (("x", "y"), scan)


def test_fingerprint_follows_rows_and_images(write, make):
    file = write("path,label\na.png,x\nb.png,y\n")
    first = fingerprint(open_dataset(f"csv:{file}"), "test")
    write("path,label\nb.png,y\n", "other.csv")
    assert fingerprint(open_dataset(f"csv:{file}"), "test") == first
    (file.parent / "a.png").write_bytes(make.image((9, 9, 9)))
    assert fingerprint(open_dataset(f"csv:{file}"), "test") != first


def test_a_data_root_finds_tables_that_need_no_options(write, tmp_path):
    write("path,label\na.png,x\n", "pets.csv")
    write("model,score\na,1\n", "results.csv")
    write("", "results_of_today.csv")  # no table: passed over
    parquet(tmp_path / "shots.parquet", {"image": [b"x"], "label": [0]})
    root = tmp_path
    found = discover(root)
    assert ("pets", f"csv:{root}/pets.csv") in found and ("shots", f"parquet:{root}/shots.parquet") in found
    assert not any("results" in ref for _, ref in found)
