"""Captions in several languages in the layouts that they come in, and what is wrong with them."""

import gzip
import json

import pytest
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Captions
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.data.sources import multilingual
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec
from mlcd_eval.support.bundled import demo_data_dir

VAL, TRAIN = "COCO_val2014_000000000042", "COCO_train2014_000000000007"


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 6)).save(path)


def xm3600(folder, *lines):
    for key in ("a1", "b2"):
        picture(folder / "images" / f"{key}.jpg")
    texts = {"de": {"caption": ["Hund", "ein Hund"], "caption/tokenized": []}, "quz": {"caption": []}}
    usual = {"image/key": "a1", "image/locale": "de", **texts}, {"image/key": "b2", "de": {"caption": ["Katze"]}}
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, lines or usual)) + "\n")
    return f"xm3600:{folder}"


def xtd(folder, names=(f"{VAL}.jpg", f"{TRAIN}.jpg")):
    picture(folder / "images/val2014" / f"{VAL}.jpg")
    picture(folder / "images/train2014" / f"{TRAIN}.jpg")
    for place, code in (("XTD10", "ko"), ("MIC", "de"), ("STAIR", "jp")):
        (folder / place).mkdir()
        (folder / place / f"test_1kcaptions_{code}.txt").write_text(f"{code} eins\n{code} zwei\u2028drei\n")
    (folder / "XTD10/test_image_names.txt").write_text("\n".join(names))
    return f"xtd:{folder}"


def samples(dataset, split="test"):
    return [sample for shard in dataset.split(split).shards for sample in shard.samples()]


def test_crossmodal(tmp_path):
    dataset = open_dataset(xm3600(tmp_path / "mine"))
    assert (dataset.kind, dataset.name, dataset.splits) == ("retrieval", "mine", ("test",))
    assert dataset.annotations("test") == [
        Captions("a1", {"de": ("Hund", "ein Hund"), "quz": ()}),
        Captions("b2", {"de": ("Katze",), "quz": ()}),
    ]
    assert [(sample.key, sample.image.name, sample.texts) for sample in samples(dataset)] == [
        ("a1", "a1.jpg", ()),
        ("b2", "b2.jpg", ()),
    ]
    assert dataset.split("test").scan().num_samples == 2
    assert discover(tmp_path) == [("mine", f"xm3600:{tmp_path / 'mine'}")]
    assert find_dataset(tmp_path, DatasetSpec(name="mine", kind="retrieval")) == f"xm3600:{tmp_path / 'mine'}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"image/key": 3}], "line 1 of .* has no image/key"),
        ([{"image/key": "a1", "de": {"caption": "Hund"}}], "line 1 of .*: de: the whole file"),
        ([{"image/key": "a1", "de": {"caption": []}}] * 2, "line 2 of .* has the image 'a1' again"),
        ([{"image/key": "a1"}], "has no captions: expected a language"),
        ([{"image/key": "../a1", "de": {"caption": []}}], "outside"),
    ],
)
def test_lines_that_are_wrong(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        open_dataset(xm3600(tmp_path, *lines))


def test_what_is_missing(tmp_path):
    ref = xm3600(tmp_path)
    (tmp_path / "images/b2.jpg").unlink()
    with pytest.raises(DataError, match=r"sample 'b2' is missing"):
        open_dataset(ref).split("test").scan()
    with pytest.raises(DataError, match="has no split 'val': got one of test"):
        open_dataset(ref).annotations("val")
    (tmp_path / "captions.jsonl").write_bytes(b"\xff")
    with pytest.raises(DataError, match="is not UTF-8"):
        open_dataset(ref)
    (tmp_path / "captions.jsonl").write_text('{"image/key": "a1", "de": {"caption": []}}\n{')
    with pytest.raises(DataError, match=r"captions\.jsonl, line 2 is no JSON object: "):
        open_dataset(ref)
    (tmp_path / "captions.jsonl").unlink()
    with pytest.raises(DataError, match=r"captions\.jsonl is missing"):
        open_dataset(ref)


def test_a_line_for_each_image_and_language(tmp_path):
    dataset = open_dataset(xtd(tmp_path / "xtd"))
    assert dataset.annotations("test") == [
        Captions(f"{VAL}.jpg", {"de": ("de eins",), "ja": ("jp eins",), "ko": ("ko eins",)}),
        Captions(
            f"{TRAIN}.jpg",
            {code: (f"{name} zwei\u2028drei",) for code, name in (("de", "de"), ("ja", "jp"), ("ko", "ko"))},
        ),
    ]
    assert [sample.image.parent.name for sample in samples(dataset)] == ["val2014", "train2014"]
    assert discover(tmp_path) == [("xtd", f"xtd:{tmp_path / 'xtd'}")]


def test_lines_that_do_not_fit(tmp_path):
    with pytest.raises(DataError, match=r"de\.txt has 2 lines: expected 1, one for each image that .*names\.txt names"):
        open_dataset(xtd(tmp_path / "short", names=[f"{VAL}.jpg"]))
    with pytest.raises(DataError, match=r"the split 'test' of twice lists .* again"):
        open_dataset(xtd(tmp_path / "twice", names=[f"{VAL}.jpg"] * 2))
    both = xtd(tmp_path / "both")
    (tmp_path / "both/test_1kcaptions_de.txt").write_text("a\nb")
    with pytest.raises(DataError, match="are both captions in 'de': expected one file"):
        open_dataset(both)
    for file in (tmp_path / "both").rglob("test_1k*"):
        file.unlink()
    with pytest.raises(DataError, match="has captions in no language: expected files such as test_1kcaptions_LANG"):
        open_dataset(both)
    with pytest.raises(DataError, match=r"has no test_image_names\.txt"):
        open_dataset(f"xtd:{tmp_path}")


def test_multi30k(tmp_path):
    for folder in ("raw", "image_splits", "images"):
        (tmp_path / folder).mkdir()
    picture(tmp_path / "images/1007.jpg")
    (tmp_path / "image_splits/test_2016_flickr.txt").write_text("1007.jpg\n")
    (tmp_path / "raw/test_2016_flickr.de.gz").write_bytes(gzip.compress(b"Ein Mann.\n"))
    (tmp_path / "raw/test_2016_flickr.en").write_text("A man.\r\n")
    (tmp_path / "raw/test_2017_flickr.en").write_text("Not this.\n")
    dataset = open_dataset(f"multi30k:{tmp_path}")
    assert dataset.annotations("test") == [Captions("1007.jpg", {"de": ("Ein Mann.",), "en": ("A man.",)})]
    (tmp_path / "raw/test_2016_flickr.de.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"de\.gz is damaged"):
        open_dataset(f"multi30k:{tmp_path}")


def test_coco_cn(tmp_path):
    picture(tmp_path / f"images/{VAL}.jpg")
    (tmp_path / "coco-cn_test.txt").write_text(f"{VAL}\n")
    captions = tmp_path / "imageid.human-written-caption.txt"
    captions.write_text(f"{VAL}#0\t一只猫\n{TRAIN}#0\t一只狗\n{VAL}#1\t猫\n", encoding="utf-8")
    dataset = open_dataset(f"coco-cn:{tmp_path}")
    assert (dataset.splits, dataset.annotations("test")) == (("test",), [Captions(VAL, {"zh": ("一只猫", "猫")})])
    captions.write_text("no tabulator", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1 of .* is 'no tabulator': expected IMAGE#NUMBER"):
        open_dataset(f"coco-cn:{tmp_path}")


def test_stair_is_in_cocos_own_layout(tmp_path):
    picture(tmp_path / f"images/{VAL}.jpg")
    images = [{"id": 42, "file_name": f"{VAL}.jpg", "height": 6, "width": 4}]
    annotations = [{"id": 1, "image_id": 42, "caption": "猫"}]
    (tmp_path / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    assert samples(open_dataset(f"coco:{tmp_path / 'annotations.json'}"))[0].texts == ("猫",)


def test_the_bundled_emoji_have_a_name_of_their_own_in_30_languages():
    annotations = open_dataset(f"xm3600:{demo_data_dir() / 'emoji_names'}").annotations("test")
    assert len(annotations) == 240 and {len(item.texts) for item in annotations} == {30}
    for language in annotations[0].texts:
        names = [item.texts[language] for item in annotations]
        assert {len(texts) for texts in names} == {1} and len({text.casefold() for (text,) in names}) == 240


@pytest.mark.parametrize("packed", [False, True])
def test_a_text_that_is_too_large_also_unpacked(tmp_path, monkeypatch, packed):
    path = tmp_path / ("x.txt.gz" if packed else "x.txt")
    path.write_bytes(gzip.compress(b"eins\nzwei") if packed else b"eins\nzwei")
    monkeypatch.setattr(multilingual, "LARGEST_TEXT", 9)
    assert multilingual.text_lines(path) == ["eins", "zwei"]
    monkeypatch.setattr(multilingual, "LARGEST_TEXT", 8)
    with pytest.raises(DataError, match=r"x\.txt.* is too large, expected at most 8 bytes of text"):
        multilingual.text_lines(path)
