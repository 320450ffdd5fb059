"""Training data of every kind: an image is required, a caption is not; scans are kept and may be read from files."""

import json
import shutil
from types import SimpleNamespace

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import picture, write_shard

from mlcd_eval.errors import ConfigError, DataError, IncompatibleError
from mlcd_train.data import tar_index, tars
from mlcd_train.data.source import (
    _split_name,
    check_captions,
    check_shard_cache,
    check_tolerance,
    open_training_data,
)
from mlcd_train.sections import DataConfig


def opened(train, cache=None, captions=False, **settings):
    return open_training_data(DataConfig(train=train, **settings), cache, captions)


def samples(split):
    return {sample.key: sample.texts for shard in split.shards for sample in shard.samples()}


@pytest.fixture
def crawl(tmp_path):
    """Two tars as img2dataset writes them, with captions of every kind."""
    texts = [b"a cat", None, b"", b" \n ", None, b"a dog\nits nose"]
    documents = [None, {"caption": "from json"}, {"caption": None}, {"caption": "also json"}, None, {"caption": "no"}]
    for shard in range(2):
        members = []
        for number, (text, document) in enumerate(zip(texts, documents, strict=True)):
            name = f"{shard:05d}{number:04d}"
            members.append((f"{name}.jpg", picture("red", number)))
            members += [] if text is None else [(f"{name}.txt", text)]
            members += [] if document is None else [(f"{name}.json", json.dumps(document).encode())]
        members.append((f"{shard:05d}9999.json", b"{}"))  # a download that failed
        write_shard(tmp_path / "crawl" / f"{shard:05d}.tar", members)
    return tmp_path / "crawl"


def test_captions_come_from_txt_else_from_json_and_may_be_missing(crawl):
    split = opened(f"tars:{crawl}/{{00000..00001}}.tar")
    first = {key[-1]: texts for key, texts in samples(split).items() if key.startswith("00000")}
    json_texts = {"1": ("from json",), "3": ("also json",)}
    assert first == {"0": ("a cat",), "2": (), "4": (), "5": ("a dog", "its nose"), **json_texts}
    assert (split.size, split.without_caption) == (12, 4)
    assert samples(opened(f"tars:{crawl}/*.tar?captions=json"))["000000005"] == ("no",)
    assert not any(samples(opened(f"tars:{crawl}?captions=none")).values())


def test_samples_without_a_caption_are_left_out_where_captions_are_read(crawl):
    split = opened(f"tars:{crawl}/*.tar", captions=True, allow_bad=0.5)
    assert len(samples(split)) == 8
    check_tolerance(split, DataConfig(train="x", allow_bad=0.34))
    with pytest.raises(DataError, match=r"got 4 of 12 samples without a caption, expected at most a share of 0.33"):
        check_tolerance(split, DataConfig(train="x", allow_bad=0.33))


def test_what_is_written_beside_the_tars_is_believed_until_it_is_wrong(crawl, tmp_path, monkeypatch):
    (crawl / "sizes.json").write_text(json.dumps({"00000.tar": 6, "00001.tar": 5}))
    (crawl / "00001_stats.json").write_text(json.dumps({"successes": 6, "count": 7}))
    with monkeypatch.context() as patch:
        patch.setattr(tars, "TarIndex", None)  # nothing is read
        split = opened(f"tars:{crawl}", tmp_path / "cache")
    assert [shard.result.num_samples for shard in split.shards] == [6, 6]
    (crawl / "00001_stats.json").write_text(json.dumps({"successes": 7}))
    changed = opened(f"tars:{crawl}", tmp_path / "cache")
    assert changed.scan().fingerprint != split.scan().fingerprint
    with pytest.raises(
        DataError, match=r"holds 6 images, but what is written beside it says 7: delete its _stats.json"
    ):
        samples(changed)


@pytest.mark.parametrize(
    ("text", "count"),
    [('{"successes": 5}', 5), ('{"successes": "5"}', None), ("{}", None), ("[5]", None), ("{", None)],
)
def test_what_img2dataset_says_it_has_written(text, count):
    assert tars._successes(text) == count


@pytest.mark.parametrize(
    ("text", "sizes"),
    [('{"0.tar": 3, "1.tar": "4"}', {"0.tar": 3}), ("[3]", {}), ("{", {}), (None, {})],
)
def test_sizes_beside_tars(tmp_path, text, sizes):
    if text is not None:
        (tmp_path / "sizes.json").write_text(text)
    assert tars._sizes(str(tmp_path)) == sizes


@pytest.mark.parametrize(
    ("contents", "texts"), [(b'{"caption": "a cat"}', ("a cat",)), (b"{", ()), (b"[1]", ()), (b'{"caption": " "}', ())]
)
def test_a_caption_of_json_is_text_or_none(contents, texts):
    assert tars._caption(contents) == texts


def test_a_local_tar_that_went_is_named(crawl):
    shard = opened(f"tars:{crawl}/00000.tar").shards[0].shard
    (crawl / "00000.tar").unlink()
    with pytest.raises(DataError, match=r"^there is no file .*/crawl/00000\.tar, a shard of the training data$"):
        shard.scan()


@pytest.mark.parametrize(
    ("splits", "wanted", "chosen"),
    [(["a"], None, "a"), (["a", "train"], None, "train"), (["a", "train"], "a", "a"), (["a"], "b", "b")],
)
def test_the_split_that_is_trained_on(splits, wanted, chosen):
    assert _split_name("hf:x", splits, wanted) == chosen
    with pytest.raises(ConfigError, match=r"^data\.split: hf:x has no split train: expected one of val, test$"):
        _split_name("hf:x", ["val", "test"], None)


def test_a_disk_without_room_for_the_copies(tmp_path, monkeypatch):
    contents = tmp_path / "0.tar"
    write_shard(contents, [("a.jpg", picture("red", 0))])
    fsspec.filesystem("memory").pipe("memory://room/0.tar", contents.read_bytes())
    config = DataConfig(train="tars:memory://room/0.tar", shard_cache=2)
    split = open_training_data(config, tmp_path / "cache", captions=False)
    free = SimpleNamespace(free=2 << 30)
    monkeypatch.setattr("mlcd_train.data.source.shutil.disk_usage", lambda folder: free)
    check_shard_cache(split, config)
    free.free = 1 << 30
    with pytest.raises(
        ConfigError, match=r"^data\.shard_cache: got 2 GiB, expected at most the 1\.0 GiB that .* has left"
    ):
        check_shard_cache(split, config)


def test_scans_are_kept(crawl, tmp_path, monkeypatch):
    first = opened(f"tars:{crawl}", tmp_path / "cache").scan()
    monkeypatch.setattr(tar_index, "grouped", None)  # nothing is read
    assert opened(f"tars:{crawl}", tmp_path / "cache").scan() == first


def test_the_fingerprint_of_tars_is_that_of_mlcd_eval(pairs):
    from mlcd_eval.data import open_dataset

    theirs = open_dataset(f"wds:{pairs}").split("train").scan()
    assert opened(f"wds:{pairs}").scan().fingerprint == theirs.fingerprint


def test_tables_need_no_caption_and_no_label(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(picture("red", number))
    (tmp_path / "paths.csv").write_text("path\n0.png\n1.png\n2.png\n")
    assert samples(opened(f"csv:{tmp_path}/paths.csv")) == {"0.png": (), "1.png": (), "2.png": ()}
    (tmp_path / "more.csv").write_text("path,caption,split\n0.png,a,train\n0.png,b,train\n1.png,,train\n2.png,c,val\n")
    split = opened(f"csv:{tmp_path}/more.csv", tmp_path / "cache")
    assert samples(split) == {"0.png": ("a", "b"), "1.png": ()}
    assert samples(opened(f"csv:{tmp_path}/more.csv", split="val")) == {"2.png": ("c",)}
    table = pa.table({"image": [{"bytes": picture("red", n)} for n in range(3)], "text": ["a", None, " "]})
    pq.write_table(table, tmp_path / "bytes.parquet")
    assert samples(opened(f"parquet:{tmp_path}/bytes.parquet")) == {"0": ("a",), "1": (), "2": ()}
    (tmp_path / "none.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ConfigError, match=r"has no column for the image: got the columns x, y; choose one by \?image="):
        opened(f"csv:{tmp_path}/none.csv")


def test_folders_of_images(tmp_path):
    for name in ("a/0.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture("red", 1))
    split = opened(f"files:{tmp_path}")
    assert samples(split) == {"a/0.png": (), "b/1.png": ()}
    with pytest.raises(IncompatibleError, match=r"lit needs captions: got .*, whose first samples have none"):
        check_captions(split, "lit")


def test_several_data_sets_keep_their_keys_apart(crawl, tmp_path):
    shutil.copytree(crawl, tmp_path / "again")
    split = opened((f"tars:{crawl}", f"tars:{tmp_path}/again"))
    assert split.size == 24 == len(samples(split)) and {key[:2] for key in samples(split)} == {"0/", "1/"}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("pipe:curl x", "got 'pipe:curl x', expected tars:pipe:curl x"),
        ("tars:pipe:no-such-program x", "pipe:no-such-program x cannot be run: .*No such file"),
        ("tars:pipe:cat 'x", "pipe:cat 'x cannot be run: No closing quotation"),
        ("tars:pipe:ls /nowhere/0.tar", "pipe:ls /nowhere/0.tar failed with exit code 2: .*/nowhere/0.tar"),
        ("tars:pipe:echo no tar", "pipe:echo no tar is truncated or not a tar file"),
        ("tars:/nowhere/*.tar", "there is no file /nowhere/"),
        ("tars:s3://bucket/0.tar", "expected fsspec with s3fs for s3://"),
        ("tars:nothing://bucket/0.tar", "nothing://bucket cannot be read: .*rotocol"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(train, message, tmp_path):
    with pytest.raises((ConfigError, DataError), match=message):
        opened(train, tmp_path)


def test_the_old_tolerance_is_named():
    with pytest.raises(ValueError, match=r"allow_bad_images \(got 3\), which has become allow_bad, a share of the"):
        DataConfig(train="x", allow_bad_images=3)
