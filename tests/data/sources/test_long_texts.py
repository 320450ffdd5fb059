"""Long captions in the layouts that they come in."""

import json

import pytest
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 6)).save(path)


def pairs(ref):
    split = open_dataset(ref).split("test")
    assert split.scan().num_samples == sum(1 for shard in split.shards for _ in shard.samples())
    return [(each.key, each.texts[0]) for shard in split.shards for each in shard.samples()]


def urban1k(folder, captions=("221 words", "9 words")):
    for key, text in zip((10, 9), captions, strict=True):
        picture(folder / f"image/{key}.jpg")
        (folder / "caption").mkdir(exist_ok=True)
        (folder / f"caption/{key}.txt").write_text(f"{text} \nmore")
    return f"urban1k:{folder}"


def test_urban1k(tmp_path):
    ref = urban1k(tmp_path / "urban1k")
    assert pairs(ref) == [("9", "9 words"), ("10", "221 words")]
    assert discover(tmp_path) == [("urban1k", ref)]
    assert find_dataset(tmp_path, DatasetSpec(name="urban1k", kind="retrieval")) == ref
    with pytest.raises(DataError, match=r"urban1k has no split 'val': got one of test$"):
        open_dataset(ref).split("val")
    with pytest.raises(DataError, match="the caption of 9 is blank"):
        open_dataset(urban1k(tmp_path / "blank", captions=("a", " ")))
    with pytest.raises(DataError, match="expected the folders caption and image in it"):
        open_dataset(f"urban1k:{tmp_path}")
    (tmp_path / "urban1k/image/9.jpg").unlink()
    with pytest.raises(DataError, match="sample '9' is missing"):
        open_dataset(ref).split("test").scan()


def test_sharegpt4v(tmp_path):
    picture(tmp_path / "coco/1.jpg")
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A cat.\nIt sleeps."}]
    item = {"id": "1", "image": "coco/1.jpg", "conversations": turns}
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([item, *({**item, "image": f"{n}.jpg"} for n in range(1200))]))
    assert pairs(f"sharegpt4v:{file}?first=1") == [("coco/1.jpg", "A cat. It sleeps.")]
    for options, count in (("", 1000), ("?first=all", 1201)):
        split = open_dataset(f"sharegpt4v:{file}{options}").split("test")
        assert sum(1 for shard in split.shards for _ in shard.samples()) == count
    for wrong, message in (
        ({}, "is no list: got a dict"),
        ([], "has no captions"),
        ([{**item, "conversations": turns[:1]}], "at least 2 items"),
        ([{**item, "image": "../1.jpg"}], "outside"),
    ):
        file.write_text(json.dumps(wrong))
        with pytest.raises(DataError, match=message):
            open_dataset(f"sharegpt4v:{file}")


def test_dci(tmp_path):
    picture(tmp_path / "photos/sa_1.jpg")
    (tmp_path / "complete").mkdir()
    item = {"image": "sa_1.jpg", "short_caption": "A lake.", "extra_caption": "Trees.", "mask_data": {}}
    (tmp_path / "complete/sa_1.json").write_text(json.dumps(item))
    assert pairs(f"dci:{tmp_path}") == [("sa_1", "A lake.\nTrees.")]  # get_extended_caption of DCI's dense_image.py
    assert pairs(f"dci:{tmp_path}?captions=short") == [("sa_1", "A lake.")]
    (tmp_path / "complete/sa_1.json").write_text(json.dumps({"image": "sa_1.jpg"}))
    with pytest.raises(DataError, match="short_caption"):
        open_dataset(f"dci:{tmp_path}")
