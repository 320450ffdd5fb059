import hashlib
import os
import shutil

import pytest
from opened import samples

from mlcd_eval.data import open_dataset
from mlcd_eval.data.sources import wds as webdataset
from mlcd_eval.errors import DataError


def test_classification(pets, make):
    dataset = open_dataset(f"wds:{pets}")
    assert (dataset.name, dataset.kind, dataset.splits) == ("pets", "classification", ("train", "test"))
    assert dataset.class_names == ("cat", "dog", "sea horse")
    assert dataset.templates == ("a photo of a {c}.", "{c}")
    read = samples(dataset, "train")
    assert [(sample.key, sample.label) for sample in read] == [(f"s{i:03d}", i % 3) for i in range(7)]
    assert read[6].image == make.image((6, 0, 0))
    scan = dataset.split("train").scan()
    assert scan.num_samples == 7
    assert dataset.split("train").shards[1].scan().fingerprint == sha256(pets / "train" / "1.tar")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_retrieval_has_no_classes(tmp_path, make):
    files = [("a.jpg", make.image()), ("a.txt", b"one\ntwo\n"), ("b.jpg", make.image()), ("b.txt", b"three")]
    make.wds(tmp_path / "pairs", {"test": [files]}, dataset_type="Retrieval\n", classnames="unused")
    dataset = open_dataset(f"wds:{tmp_path}/pairs")
    assert (dataset.kind, dataset.class_names, dataset.templates) == ("retrieval", None, None)
    assert [sample.texts for sample in samples(dataset, "test")] == [("one", "two"), ("three",)]


def test_multilabel(tmp_path, make):
    make.wds(tmp_path, {"test": [[("a.jpg", b"x"), ("a.npy", make.npy([1.0, 0.0]))]]}, dataset_type="multilabel")
    dataset = open_dataset(f"wds:{tmp_path}")
    assert (dataset.kind, dataset.class_names) == ("multilabel", None)
    assert samples(dataset, "test")[0].label == (1, 0)


def test_all_splits_are_found(tmp_path, make):
    shard = make.classification(1, 1)
    make.wds(tmp_path, {"zz_testB": [shard], "test": [shard], "train": [shard], "val": [shard]})
    (tmp_path / "docs").mkdir()
    dataset = open_dataset(f"wds:{tmp_path}")
    assert dataset.splits == ("train", "val", "test", "zz_testB")
    with pytest.raises(DataError, match="has no split 'dev': got one of train, val, test, zz_testB in "):
        dataset.split("dev")


def test_scan_is_kept(pets, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = open_dataset(f"wds:{pets}", cache=cache).split("train").scan()
    assert len(list((cache / "scans").iterdir())) == 2

    read = []
    original = webdataset.read_samples
    monkeypatch.setattr(webdataset, "read_samples", lambda *args: read.append(args[1]) or original(*args))
    assert open_dataset(f"wds:{pets}", cache=cache).split("train").scan() == first
    assert read == []

    shard = pets / "train" / "1.tar"  # other contents, with the size and time that it had
    times = shard.stat()
    shutil.copy(pets / "train" / "0.tar", shard)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert open_dataset(f"wds:{pets}", cache=cache).split("train").scan().num_samples == 8
    assert read == [str(shard)]

    (pets / "classnames.txt").write_text("a\nb\nc\nd\n")  # the labels do not depend on their names
    open_dataset(f"wds:{pets}", cache=cache).split("train").scan()
    assert read == [str(shard)]


def test_labels_beyond_the_class_names(pets, tmp_path, make):
    (pets / "classnames.txt").write_text("cat\ndog\n")
    split = open_dataset(f"wds:{pets}", cache=tmp_path / "cache").split("train")
    assert split.scan().num_classes == 3  # only zero-shot needs a name for each, and refuses
    (pets / "train" / "0.tar").write_bytes(make.tar([("s.png", make.image()), ("s.cls", b"1000000")]))
    split = open_dataset(f"wds:{pets}", cache=tmp_path / "bad").split("train")
    message = rf"the label of sample 's' of {pets}/train/0.tar is out of range: got 1000000, expected 0 to 999999"
    with pytest.raises(DataError, match=message):
        split.scan()
    with pytest.raises(DataError, match=message):
        list(split.shards[0].samples())
    assert not (tmp_path / "bad").exists()  # a bad scan is not kept


def test_change_between_scan_and_reading(pets, make):
    shard = open_dataset(f"wds:{pets}").split("test").shards[0]
    shard.scan()
    (pets / "test" / "0.tar").write_bytes(make.tar(make.classification(6, 3)))
    with pytest.raises(DataError, match=f"{pets}/test/0.tar changed since it was scanned: got sha256"):
        list(shard.samples())


def test_truncated_shard_is_named(pets):
    shard = pets / "train" / "1.tar"
    shard.write_bytes(shard.read_bytes()[:1500])
    with pytest.raises(DataError, match=f"{shard} is truncated or not a tar file"):
        open_dataset(f"wds:{pets}").split("train").scan()


def test_missing_shard(pets):
    (pets / "train" / "nshards.txt").write_text("3")
    split = open_dataset(f"wds:{pets}").split("train")
    with pytest.raises(DataError, match=r"train/2.tar is missing: expected it because nshards.txt beside it counts it"):
        split.scan()
    with pytest.raises(DataError, match=r"train/2.tar cannot be read: No such file or directory"):
        list(split.shards[2].samples())


def test_empty_split(pets, make):
    (pets / "test" / "0.tar").write_bytes(make.tar([]))
    with pytest.raises(DataError, match="split 'test' of pets is empty: got 0 samples, expected at least 1"):
        open_dataset(f"wds:{pets}").split("test").scan()


@pytest.mark.parametrize(
    ("file", "contents", "message"),
    [
        ("train/nshards.txt", None, "train/nshards.txt is missing: expected the number of tar files in it"),
        ("train/nshards.txt", b"two", "train/nshards.txt holds 'two', expected one integer"),
        ("train/nshards.txt", b"-1", "train/nshards.txt holds '-1', expected one integer"),
        ("dataset_type.txt", b"retreival", "holds an unknown type: got 'retreival', .*did you mean 'retrieval'"),
        ("classnames.txt", b"cat\n\ndog\n", "classnames.txt has no name in line 2"),
        ("classnames.txt", b"caf\xe9\n", "classnames.txt is not UTF-8 text"),
        (
            "zeroshot_classification_templates.txt",
            b"a photo of a {}.",
            "has the template 'a photo of a {}.', expected {c}",
        ),
    ],
)
def test_bad_metadata(pets, file, contents, message):
    (pets / file).unlink(missing_ok=True)
    if contents is not None:
        (pets / file).write_bytes(contents)
    with pytest.raises(DataError, match=message):
        open_dataset(f"wds:{pets}")


def test_not_this_layout(tmp_path):
    with pytest.raises(
        DataError, match=r"is not in clip-benchmark's layout: expected train/nshards.txt or test/nshards.txt"
    ):
        open_dataset(f"wds:{tmp_path}")
    with pytest.raises(DataError, match=rf"there is no dataset folder {tmp_path}/pets"):
        open_dataset(f"wds:{tmp_path}/pets")


def test_byte_order_mark_is_no_part_of_a_name(pets):
    (pets / "classnames.txt").write_text("cat\ndog\nhorse\n", encoding="utf-8-sig")
    assert open_dataset(f"wds:{pets}").class_names == ("cat", "dog", "horse")
