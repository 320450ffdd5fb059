"""COCO's annotation files: captions, and captions of masks or boxes."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import AnnotatedDataset
from mlcd_eval.data.open import discover
from mlcd_eval.errors import DataError

IMAGES = [
    {"id": 7, "file_name": "a.png", "width": 5, "height": 4},
    {"id": 3, "file_name": "b.png", "width": 5, "height": 4},
]


@pytest.fixture
def write(tmp_path, make):
    """A function that writes a file in COCO's own folders, images in val2017 beside annotations."""

    def write(annotations, images=IMAGES, name="captions_val2017.json", **more):
        folder = tmp_path / "coco"
        for image in ("a.png", "b.png"):
            (folder / "val2017").mkdir(parents=True, exist_ok=True)
            (folder / "val2017" / image).write_bytes(make.image())
        (folder / "annotations").mkdir(exist_ok=True)
        numbered = [{"id": number, **values} for number, values in enumerate(annotations)]
        (folder / "annotations" / name).write_text(json.dumps({"images": images, "annotations": numbered, **more}))
        return folder / "annotations" / name

    return write


def caption(image, text, **more):
    return {"image_id": image, "caption": text, **more}


def samples(dataset, split="test"):
    return [sample for shard in dataset.split(split).shards for sample in shard.samples()]


def test_captions(write, tmp_path):
    file = write([caption(3, "one"), caption(7, "two"), caption(3, " three ")])
    dataset = open_dataset(f"coco:{file}")
    assert (dataset.name, dataset.kind, dataset.splits) == ("captions_val2017", "retrieval", ("test",))
    assert [(sample.key, sample.texts) for sample in samples(dataset)] == [("7", ("two",)), ("3", ("one", "three"))]
    assert samples(dataset)[0].image == tmp_path / "coco" / "val2017" / "a.png"
    assert dataset.split("test").scan().num_samples == 2
    (tmp_path / "coco" / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=r"images of .* are missing: expected a.png in one of .*/val2017, or \?images=DIR"
    ):
        open_dataset(f"coco:{file}").split("test")
    assert len(samples(open_dataset(f"coco:{file}?images={tmp_path}/elsewhere"))) == 2
    assert ("captions_val2017", f"coco:{file}") in discover(tmp_path)


def test_expressions_of_masks_and_boxes(write):
    polygon = [[1, 1, 4, 1, 4, 3, 1, 3]]
    file = write([caption(3, "a mask", segmentation=polygon), caption(7, "a box", bbox=[1, 0, 2, 3])])
    dataset = open_dataset(f"coco:{file}?train={file}")
    assert (dataset.kind, dataset.splits, isinstance(dataset, AnnotatedDataset)) == ("refer", ("train", "test"), True)
    mask, box = dataset.annotations("test")
    assert (mask.text, mask.image, mask.size, box.sent_id) == ("a mask", "3", (4, 5), 1)
    expected = np.zeros((4, 5), np.uint8)
    expected[0:3, 1:3] = 1
    assert (coco_mask.decode(box.truth) == expected).all()
    assert [sample.key for sample in samples(dataset)] == ["7", "3"]


@pytest.mark.parametrize(
    ("annotations", "more", "message"),
    [
        ([caption(3, "")], {}, "annotation 0 has no caption: got '', expected text"),
        ([{"image_id": 3, "category_id": 1}], {}, "annotation 0 has no caption: got None"),
        ([caption(5, "x")], {}, "annotation 0 is of image 5, which it lacks"),
        ([], {}, "has no annotations: expected at least one caption"),
        ([caption(3, "x")], {"images": [*IMAGES, IMAGES[0]]}, "has two images of the id 7: expected each once"),
        ([caption(3, "x"), caption(3, "y", id=0)], {}, "has two annotations of the id 0"),
        ([caption("x", "y")], {}, r"0.image_id: Input should be a valid integer"),
        ([caption(3, "x")], {"images": [{"id": 3, "file_name": "../../x.png"}]}, r"'../../x.png', which is outside"),
        ([caption(3, "x", bbox=[0, 0, 1, 1])], {"images": [{"id": 3, "file_name": "a.png"}]}, "no width and height"),
    ],
)
def test_what_is_wrong_is_one_sentence(write, annotations, more, message):
    file = write(annotations, **more)
    with pytest.raises(DataError, match=message) as raised:
        dataset = open_dataset(f"coco:{file}?images={file.parent.parent}/val2017")
        dataset.split("test")
        dataset.annotations("test")
    assert "\n" not in str(raised.value)


def test_files_of_two_kinds_and_a_split_that_is_not_there(write):
    captions = write([caption(3, "x")])
    expressions = write([caption(3, "x", bbox=[0, 0, 1, 1])], name="expressions_val2017.json")
    with pytest.raises(DataError, match=r"captions of {'train': 'refer', 'test': 'retrieval'}: expected files of one"):
        open_dataset(f"coco:{captions}?train={expressions}")
    with pytest.raises(DataError, match=r"has no split 'val': got one of train, test$"):
        open_dataset(f"coco:{captions}?train={captions}").split("val")


def test_no_coco_file(tmp_path):
    for text, message in (
        ("[1]", "got a list, expected images and"),
        ('{"a": 1}', "got the keys a,"),
        ("{", "as JSON"),
    ):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DataError, match=message):
            open_dataset(f"coco:{tmp_path}/x.json")
