"""Boxes and masks of parts: COCO's files, the bundled scenes, and words on rendered pages."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from mlcd_eval.data import open_dataset, word_pages
from mlcd_eval.data.base import fingerprint
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec
from mlcd_eval.support.bundled import demo_data_dir

SQUARE = [[1, 1, 5, 1, 5, 4, 1, 4]]


def annotation(number, **changes):
    given = {"id": number, "image_id": 3, "category_id": 18, "bbox": [1, 1, 4, 3], "area": 12, "segmentation": SQUARE}
    return {**given, "iscrowd": 0, **changes}


def instances(root, *annotations, year="2017", name="instances", splits=("train", "val"), **changes):
    folder = root / "coco"
    for split in splits:
        path = folder / f"{split}{year}" / "000000000003.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (9, 9, 9)).save(path)
        images = [{"id": 3, "file_name": path.name, "width": 8, "height": 6}]
        categories = [{"id": 44, "name": "bottle"}, {"id": 18, "name": "dog"}]
        file = {"images": images, "annotations": list(annotations) or [annotation(7)], "categories": categories}
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{name}_{split}{year}.json").write_text(json.dumps(file | changes))
    return folder


def test_cocos_files_are_found_and_read(tmp_path):
    crowd = annotation(9, iscrowd=1, segmentation={"size": [6, 8], "counts": [40, 8]})
    code = annotation(8, category_id=44, bbox=[5.5, 0, 2.8, 6], segmentation={"size": [6, 8], "counts": [40, 8]})
    folder = instances(tmp_path, annotation(7), code, crowd)
    facts = DatasetSpec(name="coco_instances", kind="regions")
    assert find_dataset(tmp_path, facts) == f"regions:{folder}" in [ref for _, ref in discover(tmp_path)]
    dataset = open_dataset(f"regions:{folder}", cache=tmp_path / "cache")
    assert (dataset.kind, dataset.splits) == ("regions", ("train", "val"))
    assert dataset.class_names == ("dog", "bottle")  # by rising id
    first, second = dataset.annotations("val")
    assert (first.label, first.size, first.box, first.area) == (0, (6, 8), (1, 1, 5, 4), 12)
    assert coco.area(first.truth) == 12 and coco.area(second.truth) == 8
    assert second.label == 1 and second.box == (5.5, 0, 8, 6)  # cut to the image
    assert first.picture().getpixel((0, 0)) == (9, 9, 9)
    assert [sample.key for shard in dataset.split("val").shards for sample in shard.samples()] == ["3"]
    before = fingerprint(dataset, "val")
    instances(tmp_path, annotation(7, category_id=44), code, crowd)
    assert fingerprint(open_dataset(f"regions:{folder}"), "val") != before


def test_of_several_years_one_is_said(tmp_path):
    folder = instances(tmp_path)
    instances(tmp_path, year="2014")
    facts = DatasetSpec(name="coco_instances", kind="regions")
    assert find_dataset(tmp_path, facts) == f"regions:{folder}?year=2017"
    assert len(open_dataset(f"regions:{folder}?year=2014").annotations("train")) == 1
    with pytest.raises(DataError, match=r"of several years: .* expected \?year=YEAR, one of 2014, 2017"):
        open_dataset(f"regions:{folder}")
    with pytest.raises(DataError, match=r"no file such as annotations/instances_val2020.json"):
        open_dataset(f"regions:{folder}?year=2020")


def test_lvis_names_images_by_address(tmp_path):
    url = "http://images.cocodataset.org/val2017/000000000003.png"
    images = [{"id": 3, "coco_url": url, "width": 8, "height": 6}]
    instances(tmp_path, splits=("val",))
    folder = instances(tmp_path, year="", name="lvis_v1", splits=("val",), images=images)
    (folder / "annotations/instances_val2017.json").unlink()
    (sample,) = (s for shard in open_dataset(f"regions:{folder}").split("val").shards for s in shard.samples())
    assert sample.image == folder / "val2017/000000000003.png"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([annotation(7, bbox=[1, 1, 9, 3])], r"annotation 7 has a box outside of its image: got x 1 to 10 .* 8 x 6"),
        ([annotation(7, bbox=[1, 4, 4, -3])], r"annotation 7 has a box outside of its image"),
        ([annotation(7, segmentation={"size": [5, 8], "counts": [40]})], r"size is \[5, 8\], expected the image's"),
        ([annotation(7, category_id=19)], r"annotation 7 has the category 19, expected one of 18 to 44"),
        ([annotation(7, image_id=4)], r"annotation 7 is of image 4, which the file lacks"),
        ([annotation(7), annotation(7)], r"annotation 7 occurs twice"),
        ([annotation(7, iscrowd=1)], r"the split 'val' of coco has no regions: got 0, expected at least 1"),
    ],
)
def test_what_is_wrong_is_one_sentence(given, says, tmp_path):
    with pytest.raises(DataError, match=says):
        open_dataset(f"regions:{instances(tmp_path, *given)}").annotations("val")


def test_a_box_that_is_no_number_is_one_sentence(tmp_path):
    folder = instances(tmp_path)
    path = folder / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace('"bbox": [1,', '"bbox": [NaN,'))
    with pytest.raises(DataError):
        open_dataset(f"regions:{folder}").annotations("val")


def test_other_files_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="has no regions that are known here"):
        open_dataset(f"regions:{tmp_path}")
    with pytest.raises(DataError, match=r"holds no instances: got the keys a"):
        folder = instances(tmp_path / "a")
        (folder / "annotations/instances_val2017.json").write_text('{"a": 1}')
        open_dataset(f"regions:{folder}")
    with pytest.raises(DataError, match="got 1 categories, expected two or more"):
        open_dataset(f"regions:{instances(tmp_path / 'b', categories=[{'id': 1, 'name': 'a'}])}")
    with pytest.raises(DataError, match="have other categories"):
        folder = instances(tmp_path / "c")
        instances(tmp_path / "c", splits=("train",), categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
        open_dataset(f"regions:{folder}").annotations("train")
    with pytest.raises(DataError, match=r"images of .* are missing: expected 000000000003\.png in one of"):
        folder = instances(tmp_path / "d")
        (folder / "val2017/000000000003.png").unlink()
        open_dataset(f"regions:{folder}").annotations("val")
    with pytest.raises(DataError, match="which is outside"):
        image = {"id": 3, "file_name": "../../x.png", "width": 8, "height": 6}
        open_dataset(f"regions:{instances(tmp_path / 'e', images=[image])}").split("val")


def test_the_things_of_the_bundled_scenes_have_their_pixels():
    dataset = open_dataset(f"regions:{demo_data_dir()}/densedemo")
    assert find_dataset(demo_data_dir(), DatasetSpec(name="densedemo_regions", kind="regions")) is not None
    maps = {each.image: each for each in open_dataset(f"seg:{demo_data_dir()}/densedemo").annotations("val")}
    regions = dataset.annotations("val")
    assert len(regions) == 300 and len(dataset.class_names) == 20
    for region in regions[:6]:
        classes, mask = maps[region.image].pixels(), coco.decode(region.truth) > 0
        assert set(classes[mask].tolist()) == {region.label + 1} and mask.sum() == region.area
        rows, columns = np.nonzero(mask)
        assert region.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert region.thing.startswith(region.unit) and region.image.startswith(f"{region.unit}/")


WORDS = {"words": ["angel", "angle", "taste"], "train": 2, "val": 1, "test": 2, "side": 224}


def words(tmp_path, **changes):
    path = tmp_path / "mine.words.json"
    path.write_text(json.dumps(WORDS | changes))
    return f"regions:{path}"


def test_a_box_says_nothing_of_its_word(tmp_path):
    dataset = open_dataset(words(tmp_path), cache=tmp_path / "cache")
    assert (dataset.name, dataset.splits, dataset.class_names) == (
        "mine",
        ("train", "val", "test"),
        tuple(WORDS["words"]),
    )
    for split in dataset.splits:
        pages = {sample.key: sample for shard in dataset.split(split).shards for sample in shard.samples()}
        for region in dataset.annotations(split):
            left, top, right, bottom = region.box
            assert right <= 224 and bottom <= 224 and region.area == (right - left) * (bottom - top)
            ink = np.asarray(pages[region.image].image.convert("L").crop(region.box), int)
            changed = np.abs(ink - ink[0, 0]) > 60
            # whatever the word, its ink begins and ends with its box
            assert changed[:, :3].any() and changed[:, -3:].any()
            assert np.array_equal(np.asarray(region.picture()), np.asarray(pages[region.image].image))
    shapes = [
        (right - left) / (bottom - top) for left, top, right, bottom in (r.box for r in dataset.annotations("test"))
    ]
    assert min(shapes) > 2.2 and max(shapes) < 2.5
    assert fingerprint(dataset, "train") == fingerprint(open_dataset(words(tmp_path)), "train")
    faces = [{face.name for face in word_pages.FACES_OF[split]} for split in dataset.splits]
    assert not faces[0] & faces[1] and not faces[0] & faces[2] and not faces[1] & faces[2]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"words": ["angel", "ant"]}, "got 'ant', expected words of 5 letters"),
        ({"words": ["angel", "angel"]}, "got a word twice"),
        ({"words": ["angel"]}, "at least 2 items"),
        ({"side": 10}, "side: Input should be greater than or equal to 128"),
    ],
)
def test_a_vocabulary_that_leaks_is_one_sentence(changes, says, tmp_path):
    with pytest.raises(DataError, match=says):
        open_dataset(words(tmp_path, **changes))
