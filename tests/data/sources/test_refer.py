"""RefCOCO's layout: sentences, masks in every form against a slow decoder, and everything that may be wrong with it."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint, num_scored
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.data.storage.rle import as_rle
from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec
from mlcd_eval.support.bundled import demo_data_dir

SQUARE = [[2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0]]


def write(root, refs=None, instances=None, name="tiny"):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (root / "images" / name).mkdir(parents=True, exist_ok=True)
    sentences = [{"sent_id": 7, "sent": "red square", "tokens": [], "raw": ""}, {"sent_id": 8, "sent": "it"}]
    refs = refs or [
        {"ref_id": 1, "ann_id": 5, "image_id": 3, "split": split, "category_id": 1, "sentences": sentences}
        for split in ("train", "val")
    ]
    instances = instances or {
        "images": [{"id": 3, "file_name": "a.png", "width": 8, "height": 6}],
        "annotations": [{"id": 5, "image_id": 3, "segmentation": SQUARE}],
    }
    (folder / "refs(unc).p").write_bytes(refs if isinstance(refs, bytes) else pickle.dumps(refs, protocol=2))
    (folder / "instances.json").write_text(json.dumps(instances))
    Image.new("RGB", (8, 6)).save(root / "images" / name / "a.png")
    return f"refer:{root}/{name}/unc"


def test_every_sentence_is_a_sample_and_every_image_one(tmp_path):
    dataset = open_dataset(write(tmp_path) + "/val")
    assert (dataset.name, dataset.kind, dataset.splits) == ("tiny_val", "refer", ("train", "val"))
    first, second = dataset.annotations("val")
    assert (first.sent_id, first.ref_id, first.image, first.text, first.size) == (7, 1, "3", "red square", (6, 8))
    assert second.text == "it" and num_scored(dataset, "val") == 2
    [sample] = list(dataset.split("val").shards[0].samples())
    assert sample.key == "3" and sample.image.name == "a.png"
    expected = np.zeros((6, 8), np.uint8)
    expected[1:5, 2:6] = 1
    assert np.array_equal(coco.decode(first.truth), expected)


def test_the_fingerprint_is_also_of_sentences_and_masks(tmp_path):
    before = open_dataset(write(tmp_path / "a"))
    moved = [[3.0, *SQUARE[0][1:]]]
    images = [{"id": 3, "file_name": "a.png", "width": 8, "height": 6}]
    instances = {"images": images, "annotations": [{"id": 5, "image_id": 3, "segmentation": moved}]}
    after = open_dataset(write(tmp_path / "b", instances=instances))
    assert before.split("val").scan().fingerprint == after.split("val").scan().fingerprint
    assert fingerprint(before, "val") != fingerprint(after, "val")
    assert fingerprint(before, "val") == fingerprint(open_dataset(write(tmp_path / "c")), "val")


def test_bundled_scenes():
    dataset = open_dataset(f"refer:{demo_data_dir()}/refer/refdemo/unc")
    counts = Counter({split: num_scored(dataset, split) for split in dataset.splits})
    assert counts == {"train": 620, "val": 146, "testA": 154, "testB": 152}
    for expression in dataset.annotations("testA"):
        assert 0 < coco.area(expression.truth) < expression.size[0] * expression.size[1]
    names = [name for name, _ in discover(demo_data_dir())]
    assert {"refdemo", "docdemo_val"} <= set(names)
    facts = DatasetSpec(name="refdemo", kind="refer", split_by="unc")
    assert find_dataset(demo_data_dir(), facts) == f"refer:{demo_data_dir()}/refer/refdemo/unc"


@pytest.mark.parametrize("seed", range(5))
def test_masks_in_every_form_are_the_same(seed):
    chance = np.random.default_rng(seed)
    mask = (chance.random((13, 17)) < (0.3, 0.0, 1.0, 0.05, 0.9)[seed]).astype(np.uint8)
    rle = coco.encode(np.asfortranarray(mask))
    flat = mask.flatten(order="F").tolist()
    runs, value = [], 0
    while flat:
        length = next((place for place, pixel in enumerate(flat) if pixel != value), len(flat))
        runs.append(length)
        flat, value = flat[length:], 1 - value
    for counts in (rle["counts"], rle["counts"].decode(), runs):
        assert np.array_equal(coco.decode(as_rle({"size": [13, 17], "counts": counts}, (13, 17), "x")), mask)


def test_parts_of_polygons_unite_without_counting_twice():
    overlapping = [SQUARE[0], [4.0, 1.0, 8.0, 1.0, 8.0, 5.0, 4.0, 5.0]]
    assert coco.area(as_rle(overlapping, (6, 8), "x")) == 4 * 6
    assert coco.area(as_rle([[1.0, 1.0, 2.0, 2.0]], (6, 8), "x")) == 0  # a line has no inside
    assert coco.area(as_rle([], (6, 8), "x")) == 0


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [8, 6], "counts": [48]}, r"size is \[8, 6\], expected the image's \[height, width\] = \[6, 8\]"),
        ({"size": [6, 8], "counts": [40]}, "runs that do not add up to 48 pixels"),
        ({"size": [6, 8], "counts": [-1, 49]}, "runs that do not add up"),
        ({"size": [6, 8], "counts": "P"}, "ends? within a number|do not add up"),
        ({"size": [6, 8], "counts": "\x01"}, "the character"),
        ({"size": [6, 8], "counts": "o" * 50}, "the character|within a number"),
        ({"size": [6, 8], "counts": {"a": 1}}, "expected text or integers"),
        ({"size": [6, 8]}, "'counts'"),
        ([["a", 1, 2, 3, 4, 5]], "neither polygons nor COCO RLE"),
        ([[1e9, 1, 2, 3, 4, 5]], "not x, y"),
        (7, "neither polygons nor COCO RLE"),
    ],
)
def test_masks_that_are_invalid(segmentation, message):
    with pytest.raises(DataError, match=message):
        as_rle(segmentation, (6, 8), "here")


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_calls_something_is_refused_by_name(tmp_path):
    ref = write(tmp_path, refs=pickle.dumps([Harmful(tmp_path / "made")]))
    with pytest.raises(DataError, match=r"its pickle asks for (_?io)\.open, expected lists, dicts, text"):
        open_dataset(ref)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", range(5))
def test_plain_pickles_of_every_protocol_are_read(tmp_path, protocol):
    plain = [{"a": [1, 2.5, None, True, "é", b"x", (1,), {2}]}]
    (tmp_path / "p").write_bytes(pickle.dumps(plain, protocol))
    if protocol < 4:  # sets and bytes are calls in these
        plain = [{"a": [1, 2.5, None, True, "é", (1,)]}]
        (tmp_path / "p").write_bytes(pickle.dumps(plain, protocol))
    assert read_pickle(tmp_path / "p") == plain


def test_texts_of_python_2(tmp_path):
    (tmp_path / "p").write_bytes(b"(lp0\nS'caf\\xc3\\xa9'\np1\na.")
    assert read_pickle(tmp_path / "p") == ["café"]
    (tmp_path / "p").write_bytes(b"(lp0\nS'caf\\xe9'\np1\na.")
    assert read_pickle(tmp_path / "p") == ["café"]


def test_mistakes_are_one_sentence(tmp_path):
    ref = write(tmp_path)
    with pytest.raises(DataError, match=r"refs\(umd\)\.p is missing: expected SPLIT_BY one of unc"):
        open_dataset(f"refer:{tmp_path}/tiny/umd/val")
    with pytest.raises(DataError, match=r"has no split 'vall': got train, val \(did you mean 'val'\?\)"):
        open_dataset(ref + "/vall")
    (tmp_path / "images" / "tiny" / "a.png").unlink()
    with pytest.raises(DataError, match=r"images of tiny are missing: expected a.png in one of"):
        open_dataset(ref).split("val")
    (tmp_path / "tiny" / "refs(unc).p").write_bytes(b"\x80\x04garbage")
    with pytest.raises(DataError, match="is not a pickle, or damaged"):
        open_dataset(ref)


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ({"images": [], "annotations": []}, "refers to image 3|names annotation 5"),
        (
            {
                "images": [{"id": 3, "file_name": "../images/tiny/a.png", "width": 8, "height": 6}],
                "annotations": [{"id": 5, "image_id": 3, "segmentation": SQUARE}],
            },
            r"names the image '\.\./images/tiny/a\.png', expected a file below",
        ),
        ({"images": [{"id": 3}], "annotations": []}, r"0\.file_name: Field required"),
        ([1], "holds a list"),
    ],
)
def test_instances_that_do_not_fit(tmp_path, instances, message):
    ref = write(tmp_path, instances=instances)
    with pytest.raises(DataError, match=message):
        dataset = open_dataset(ref)
        dataset.annotations("val")
        dataset.split("val")
