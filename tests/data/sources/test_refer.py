"""RefCOCO's and gRefCOCO's layout: sentences, truths, names, and everything that may be wrong with the files."""

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint, num_scored
from mlcd_eval.data.open import default_name, discover, find_dataset
from mlcd_eval.data.sources.refer import parse_address
from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec, TaskIndex
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
    assert first.box is None  # the file has none
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


def test_a_list_of_codes_is_a_truth(tmp_path):
    """RefCLEF's form, and MLCD-Seg's."""
    images = [{"id": 3, "file_name": "a.png", "width": 8, "height": 6}]
    codes = [{"size": [6, 8], "counts": [0, 6, 42]}, {"size": [6, 8], "counts": [3, 6, 39]}]
    instances = {"images": images, "annotations": [{"id": 5, "image_id": 3, "segmentation": codes}]}
    first, _ = open_dataset(write(tmp_path, instances=instances)).annotations("val")
    assert coco.decode(first.truth).flatten(order="F").tolist() == [1] * 9 + [0] * 39


GENERALIZED = (
    {"ref_id": 1, "ann_id": [5, 6], "no_target": False},
    {"ref_id": 2, "ann_id": [-1], "no_target": True},
    {"ref_id": 3, "ann_id": [6], "no_target": False},
    {"ref_id": 4, "ann_id": [5, 7], "no_target": False},
)
PARTS = ([0, 6, 42], [3, 6, 39], [40, 8])
"""Runs of annotations 5, 6 and 7, of which the last is a crowd."""


def write_generalized(root, refs=GENERALIZED, split_by="unc", suffix="json"):
    """gRefCOCO's layout; every ref has one sentence."""
    folder = root / "grefcoco"
    folder.mkdir(parents=True)
    common = {"image_id": 3, "split": "val", "category_id": [1], "file_name": "a.png"}
    refs = [
        {**common, "sentences": [{"sent_id": 10 + ref["ref_id"], "sent": "it", "raw": "It", "tokens": ["it"]}], **ref}
        for ref in refs
    ]
    contents = json.dumps(refs).encode() if suffix == "json" else pickle.dumps(refs, protocol=2)
    (folder / f"grefs({split_by}).{suffix}").write_bytes(contents)
    annotations = [
        {"id": 5 + place, "image_id": 3, "segmentation": {"size": [6, 8], "counts": runs}, "iscrowd": int(place == 2)}
        for place, runs in enumerate(PARTS)
    ]
    images = [{"id": 3, "file_name": "a.png", "width": 8, "height": 6}]
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return f"refer:{root}/grefcoco/{split_by}"


@pytest.mark.parametrize("suffix", ["json", "p"])
def test_a_sentence_of_grefcoco_refers_to_any_number_of_annotations(tmp_path, suffix):
    dataset = open_dataset(write_generalized(tmp_path, suffix=suffix))
    assert (dataset.name, dataset.splits, dataset.split_by) == ("grefcoco", ("val",), "unc")
    pixels = [
        coco.decode(sentence.truth).flatten(order="F").nonzero()[0].tolist() for sentence in dataset.annotations("val")
    ]
    assert pixels == [list(range(9)), [], list(range(3, 9)), list(range(6))]  # crowds are left out
    assert [sentence.has_target for sentence in dataset.annotations("val")] == [True, False, True, True]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (
            {"ann_id": [-1], "no_target": False},
            r"ref 9 has no_target False and ann_id \[-1\], expected no_target where",
        ),
        ({"ann_id": [5], "no_target": True}, r"ref 9 has no_target True and ann_id \[5\]"),
        ({"ann_id": [5, -1]}, "ref 9 names annotation -1 of image 3, which"),
        ({"ann_id": [5, 55]}, "ref 9 names annotation 55 of image 3, which"),
        ({"ann_id": [-1], "image_id": 4}, "refers to image 4, which"),
        ({"ann_id": "five"}, r"grefs\(unc\)\.json: 4\.ann_id"),
        ({"ann_id": [5], "sentences": [{"sent_id": 11, "sent": "it"}]}, "the sent_id 11 occurs twice in val"),
    ],
)
def test_refs_of_grefcoco_that_contradict_themselves(tmp_path, ref, message):
    ref = write_generalized(tmp_path, (*GENERALIZED, {"ref_id": 9, **ref}))
    with pytest.raises(DataError, match=message):
        open_dataset(ref).annotations("val")


def test_a_data_set_of_another_author_is_another_data_set(tmp_path):
    assert open_dataset(write_generalized(tmp_path / "a", split_by="me") + "/val").name == "grefcoco_me_val"
    for name, facts in TaskIndex.load().datasets.items():
        if facts.kind == "refer":
            assert default_name(f"refer:/data/{name}/{facts.split_by}/val") == f"{name}_val"


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
    with pytest.raises(DataError, match=r"has no split 'vall': got one of train, val$"):
        open_dataset(ref).annotations("vall")
    (tmp_path / "images" / "tiny" / "a.png").unlink()
    with pytest.raises(DataError, match=r"images of tiny are missing: expected a.png in one of"):
        open_dataset(ref).split("val")
    assert num_scored(open_dataset(ref), "val") == 2  # truths and sizes need no image
    (tmp_path / "tiny" / "instances.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"instances\.json cannot be read as JSON: "):
        open_dataset(ref).annotations("val")
    (tmp_path / "tiny" / "instances.json").unlink()
    with pytest.raises(DataError, match=r"tiny/instances\.json is missing, expected COCO's images and annotations"):
        open_dataset(ref).annotations("val")
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
            r"instances\.json has the image '\.\./images/tiny/a\.png', which is outside",
        ),
        (
            {
                "images": [{"id": 3, "file_name": "a" * 256, "width": 8, "height": 6}],
                "annotations": [{"id": 5, "image_id": 3, "segmentation": SQUARE}],
            },
            r"instances\.json has the name 'a+'\.\.\., expected names of at most 255 bytes",
        ),
        ({"images": [{"id": 3}], "annotations": []}, r"0\.file_name: Field required"),
        ({"images": [{"id": 3, "file_name": "a.png", "width": 10**6, "height": 6}]}, r"0\.width: .* 32768"),
        ({"images": [{"id": 3, "file_name": "a.png", "width": 8, "height": 0}]}, r"0\.height: .* greater than 0"),
        (
            {
                "images": [{"id": 3, "file_name": "a.png", "width": 8, "height": 6}],
                "annotations": [{"id": 5, "segmentation": SQUARE, "bbox": [2, 1, 9, 4]}],
            },
            r"annotation 5 of tiny has a box outside of its image: got x 2 to 11 and y 1 to 5",
        ),
        ([1], "holds a list"),
    ],
)
def test_instances_that_do_not_fit(tmp_path, instances, message):
    ref = write(tmp_path, instances=instances)
    with pytest.raises(DataError, match=message):
        dataset = open_dataset(ref)
        dataset.annotations("val")
        dataset.split("val")


def test_an_address_from_the_current_folder():
    assert parse_address("data/refcoco/unc") == (Path("data"), "refcoco", "unc", None)
    assert parse_address("data/refcoco/unc/val") == (Path("data"), "refcoco", "unc", "val")
