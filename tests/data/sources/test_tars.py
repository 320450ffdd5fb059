"""Tar files without a layout, as img2dataset writes them, and folders of images without labels."""

import json

import pytest

from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import discover, is_on_network, is_slow_to_open
from mlcd_eval.errors import ConfigError, DataError


def samples(dataset, split="test"):
    return [sample for shard in dataset.split(split).shards for sample in shard.samples()]


@pytest.fixture
def crawl(tmp_path, make):
    """Two shards as of img2dataset: .jpg, .txt and .json of each image."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    for shard in range(2):
        files = []
        for number in range(3):
            key, text = f"{shard:05d}{number:04d}", f"caption {shard} {number}"
            about = json.dumps({"caption": f"json {shard} {number}", "status": "success"}).encode()
            files += [(f"{key}.jpg", make.image(kind="JPEG")), (f"{key}.json", about), (f"{key}.txt", text.encode())]
        (folder / f"{shard:05d}.tar").write_bytes(make.tar(files))
        (folder / f"{shard:05d}_stats.json").write_text("{}")
    return folder


@pytest.mark.parametrize("form", ["{folder}/*.tar", "{folder}/{{00000..00001}}.tar", "{folder}"])
def test_a_glob_braces_and_a_folder(crawl, form):
    dataset = open_dataset(f"tars:{form.format(folder=crawl)}")
    assert (dataset.name, dataset.kind, dataset.splits) == ("crawl", "retrieval", ("test",))
    assert [shard.name for shard in dataset.split("test").shards] == ["00000.tar", "00001.tar"]
    read = samples(dataset)
    assert (len(read), read[4].key, read[4].texts) == (6, "000010001", ("caption 1 1",))
    assert dataset.split("test").scan().num_samples == 6


def test_captions_of_json_and_none(crawl):
    assert samples(open_dataset(f"tars:{crawl}/*.tar?captions=json"))[4].texts == ("json 1 1",)
    dataset = open_dataset(f"tars:{crawl}/*.tar?captions=none&split=train")
    assert (dataset.kind, dataset.splits, samples(dataset, "train")[0].texts) == ("images", ("train",), ())
    with pytest.raises(DataError, match=r"crawl has no split 'test': got train, choose another by \?split=test"):
        dataset.split("test")
    with pytest.raises(ConfigError, match="has captions=yes: expected txt or json or none"):
        open_dataset(f"tars:{crawl}/*.tar?captions=yes")


def test_labels_and_images_alone(tmp_path, make):
    (tmp_path / "x.tar").write_bytes(make.tar([("a.png", make.image()), ("a.cls", b"3")]))
    (tmp_path / "y.tar").write_bytes(make.tar([("a.png", make.image()), ("a.json", b'{"caption": null}')]))
    dataset = open_dataset(f"tars:{tmp_path}/x.tar")
    assert (dataset.name, dataset.kind, samples(dataset)[0].label) == ("x", "classification", 3)
    dataset = open_dataset(f"tars:{tmp_path}/y.tar")
    assert (dataset.name, dataset.kind, samples(dataset)[0].texts) == ("y", "images", ())


def test_what_is_wrong_is_one_sentence(crawl, make, tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*/00002.tar of tars:.*\{00000..00002\}.tar: expected tar"):
        open_dataset(f"tars:{crawl}/{{00000..00002}}.tar")
    (tmp_path / "empty.tar").write_bytes(make.tar([]))
    with pytest.raises(DataError, match=r"empty.tar of tars:.* holds no sample"):
        open_dataset(f"tars:{tmp_path}/empty.tar")
    for contents, message in ((b" \n", "has no caption: got only blank"), (b"caf\xe9", "are not UTF-8")):
        (tmp_path / "bad.tar").write_bytes(make.tar([("a.png", make.image()), ("a.txt", contents)]))
        with pytest.raises(DataError, match=message):
            open_dataset(f"tars:{tmp_path}/bad.tar").split("test").scan()
    (tmp_path / "bad.tar").write_bytes(make.tar([("a.png", make.image()), ("a.json", b"{")]))
    assert open_dataset(f"tars:{tmp_path}/bad.tar").kind == "images"  # what is no JSON holds no caption
    with pytest.raises(DataError, match=r"the \.json of sample 'a' of .*bad\.tar cannot be read: "):
        open_dataset(f"tars:{tmp_path}/bad.tar?captions=json").split("test").scan()
    files = [("a.png", make.image()), ("a.json", b'{"caption": "x"}'), ("b.png", make.image()), ("b.json", b"{}")]
    (tmp_path / "bad.tar").write_bytes(make.tar(files))
    with pytest.raises(DataError, match=r"sample 'b' of .*bad.tar has no caption: got None as `caption` of its .json"):
        open_dataset(f"tars:{tmp_path}/bad.tar").split("test").scan()


def test_addresses_are_not_opened_by_a_plan(tmp_path):
    ref = "tars:https://host/x/{000..009}.tar"
    assert is_on_network(ref) and is_slow_to_open(ref)
    with pytest.raises(DataError, match="https://host/x is on the network, and this run is offline"):
        open_dataset(ref, offline=True)


@pytest.fixture
def album(tmp_path, make):
    folder = tmp_path / "album"
    for name in ("b.png", "deep/er/a.jpg", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(make.image())
    return folder


def test_files_flat_or_nested(album):
    dataset = open_dataset(f"files:{album}")
    assert (dataset.name, dataset.kind, dataset.splits, dataset.class_names) == ("album", "images", ("test",), None)
    assert [(sample.key, sample.label) for sample in samples(dataset)] == [("b.png", None), ("deep/er/a.jpg", None)]
    assert open_dataset(f"files:{album}?split=train").splits == ("train",)
    with pytest.raises(DataError, match=r"album has no split 'train': its images are the split 'test', see \?split="):
        dataset.split("train")
    with pytest.raises(ConfigError, match="has split=all: expected train or val or test"):
        open_dataset(f"files:{album}?split=all")
    (album / "deep" / "again").symlink_to(album)
    with pytest.raises(DataError, match=r"deep/again links to .*/album, a folder above it"):
        open_dataset(f"files:{album}").split("test")
    with pytest.raises(DataError, match="er/none has no images: expected files ending in"):
        (album / "deep" / "er" / "none").mkdir()
        open_dataset(f"files:{album}/deep/er/none").split("test")


def test_a_data_root_finds_all_of_them(album, crawl, make):
    root = album.parent
    for name in ("photos/train/cat/a.png", "photos/test/cat/b.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(make.image())
    assert discover(root) == [
        ("album", f"files:{album}"),
        ("crawl", f"tars:{crawl}/*.tar"),
        ("photos", f"imagefolder:{root}/photos"),
    ]
