"""Layouts of semantic segmentation, each in the smallest form that its own files have."""

import io
import json
import tarfile

import numpy as np
import pytest
from opened import refused
from PIL import Image

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import UNLABELLED
from mlcd_eval.data.base import fingerprint
from mlcd_eval.data.open import discover, find_dataset
from mlcd_eval.errors import DataError
from mlcd_eval.spec import DatasetSpec

SIZE = (6, 8)  # rows, columns


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (len(path.name), 0, 0)).save(path)


def mask(path, numbers, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(numbers, np.uint8))
    if mode == "P":
        image.putpalette(list(range(256)) * 3)
    image.save(path)


def numbers(first, rest):
    """A mask whose left upper pixel has one number, and all others another."""
    return np.where(np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) == 0, first, rest)


def ade20k(root):
    folder = root / "ADEChallengeData2016"
    for split, short in (("training", "train"), ("validation", "val")):
        picture(folder / "images" / split / f"ADE_{short}_00000001.jpg")
        mask(folder / "annotations" / split / f"ADE_{short}_00000001.png", numbers(0, 150))
    rows = [f"{n}\t0.1\t1\t1\t0\tname {n}, other" for n in range(1, 151)]
    (folder / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *rows]))
    return folder, "ade20k", 150, 149, "name 150"


def voc(root):
    folder = root / "VOCdevkit" / "VOC2012"
    for split, name in (("train", "2007_000032"), ("val", "2007_000033")):
        picture(folder / "JPEGImages" / f"{name}.jpg")
        mask(folder / "SegmentationClass" / f"{name}.png", numbers(255, 20), "P")
        names = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        names.parent.mkdir(parents=True, exist_ok=True)
        names.write_text(f"{name}\n")
    return folder, "voc2012_segmentation", 21, 20, "tv monitor"


def cityscapes(root):
    folder = root / "cityscapes"
    for split in ("train", "val", "test"):  # whose masks are not public
        name = f"bonn/bonn_{split}_000019"
        picture(folder / "leftImg8bit" / split / f"{name}_leftImg8bit.png")
        mask(folder / "gtFine" / split / f"{name}_gtFine_labelIds.png", numbers(4, 33))
    return folder, "cityscapes", 19, 18, "bicycle"


def coco_stuff(root):
    folder = root / "coco_stuff164k"
    for split, name in (("train2017", "000000000139"), ("val2017", "000000000285")):
        picture(folder / "images" / split / f"{name}.jpg")
        mask(folder / "stuffthingmaps" / split / f"{name}.png", numbers(255, 181))
    (folder / "labels.txt").write_text("\n".join(["0: unlabeled", *(f"{n}: thing {n}" for n in range(1, 183))]))
    return folder, "coco_stuff", 171, 170, "thing 182"


def scenes(root, things=((3, "3/0"), (20, "20/1")), lacking=""):
    folder = root / "densedemo"
    folder.mkdir(parents=True)
    rows = []
    for split in ("train", "val", "test"):
        with tarfile.open(folder / f"{split}.tar", "w") as tar:
            for view in range(2):
                drawn, instances = io.BytesIO(), io.BytesIO()
                Image.new("RGB", SIZE[::-1]).save(drawn, "WEBP")
                Image.fromarray(numbers(0, 2).astype(np.uint8)).save(instances, "PNG")
                for ending, file in (("webp", drawn), ("instances.png", instances)):
                    member = tarfile.TarInfo(f"{split}1/{view}.{ending}")
                    member.size = len(file.getvalue())
                    if member.name != lacking:
                        tar.addfile(member, io.BytesIO(file.getvalue()))
        described = [{"class": label, "object": name, "texture": 0} for label, name in things]
        rows.append({"name": f"{split}1", "split": split, "things": described, "cameras": [np.eye(4).tolist()] * 2})
    classes = ["background", *(f"c{n}" for n in range(1, 21))]
    index = {"classes": classes, "fov": 35.0, "depth_scale": 65535.0, "scenes": rows}
    (folder / "scenes.json").write_text(json.dumps(index))
    return folder, "densedemo", 21, 20, "c20"


@pytest.mark.parametrize("layout", [ade20k, voc, cityscapes, coco_stuff, scenes])
def test_a_layout_is_found_and_read(layout, tmp_path):
    folder, name, count, last, word = layout(tmp_path)
    assert find_dataset(tmp_path, DatasetSpec(name=name, kind="segmentation")) == f"seg:{folder}"
    assert folder.parent != tmp_path or f"seg:{folder}" in [ref for _, ref in discover(tmp_path)]
    dataset = open_dataset(f"seg:{folder}", cache=tmp_path / "cache")
    assert (dataset.kind, dataset.num_classes, dataset.class_names[last]) == ("segmentation", count, word)
    assert dataset.splits == (("train", "val", "test") if layout is scenes else ("train", "val"))
    first = dataset.annotations("val")[0]
    classes = first.pixels()
    is_scene = layout is scenes  # in which 0 is a class
    assert classes[0, 0] == (0 if is_scene else UNLABELLED) and set(classes.ravel()[1:].tolist()) == {last}
    assert first.size == classes.shape == SIZE and first.picture().size == SIZE[::-1]
    assert first.unit == ("val1" if is_scene else first.image)
    keys = [sample.key for shard in dataset.split("val").shards for sample in shard.samples()]
    assert keys == [each.image for each in dataset.annotations("val")]
    again = open_dataset(f"seg:{folder}", cache=tmp_path / "cache")
    assert fingerprint(again, "val") == fingerprint(dataset, "val") != fingerprint(dataset, "train")


def test_a_changed_class_changes_the_fingerprint(tmp_path):
    folder, *_ = ade20k(tmp_path)
    before = fingerprint(open_dataset(f"seg:{folder}", cache=tmp_path / "cache"), "val")
    mask(folder / "annotations" / "validation" / "ADE_val_00000001.png", numbers(1, 150))
    assert fingerprint(open_dataset(f"seg:{folder}", cache=tmp_path / "cache"), "val") != before


def val_mask(folder):
    return folder / "annotations" / "validation" / "ADE_val_00000001.png"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda f: mask(val_mask(f), np.ones((5, 8))),
            r"another size than its image: got 8 x 5 pixels, expected 8 x 6",
        ),
        (
            lambda f: mask(val_mask(f), numbers(1, 151)),
            r"has the number 151, which means no class: .* 150 classes, 1 to",
        ),
        (lambda f: val_mask(f).unlink(), r"the mask of image 'ADE_val_00000001' .* is missing"),
        (lambda f: picture(val_mask(f)), r"no number per pixel: got a picture of mode RGB, expected grey or a palette"),
        (lambda f: val_mask(f).write_bytes(b"PNG"), r"the mask of image 'ADE_val_00000001' .* cannot be read"),
    ],
)
def test_a_mask_that_does_not_fit_is_one_sentence(spoil, says, tmp_path):
    folder, *_ = ade20k(tmp_path)
    spoil(folder)
    refused(f"seg:{folder}", says, "val")


def test_other_folders_are_one_sentence(tmp_path):
    refused(f"seg:{tmp_path}", r"no layout that is known here, .* voc has JPEGImages")
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    refused(f"seg:{tmp_path}", "has no images of the splits train and val")
    refused(f"seg:{scenes(tmp_path / 'a', things=((21, 'x'),))[0]}", r"has an object of class 21, expected 0 to 20")
    refused(
        f"seg:{scenes(tmp_path / 'b', lacking='val1/1.instances.png')[0]}",
        r"lack val1/1.instances.png, which scenes.json says they have",
    )
    refused(
        f"seg:{scenes(tmp_path / 'c', things=((3, 'x'),))[0]}",
        r"has the number 2, which means no class: .* 2 classes, 0 to 1",
        "val",
    )
    folder, *_ = ade20k(tmp_path / "d")
    (folder / "objectInfo150.txt").write_text("Name\nwall\n")
    refused(f"seg:{folder}", "names 1 classes, expected 150")


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path):
    folder, *_ = voc(tmp_path)
    (folder / "ImageSets/Segmentation/val.txt").write_text("../../2007_000033\n")
    with pytest.raises(DataError, match=r"val\.txt has the image '\.\./\.\./2007_000033', which is outside"):
        open_dataset(f"seg:{folder}")


def test_the_classes_of_cityscapes_are_those_of_its_own_scripts(tmp_path):
    """cityscapesscripts/helpers/labels.py: the ids whose trainId is 0 to 18, in that order."""
    folder, *_ = cityscapes(tmp_path)
    ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    values = np.full(SIZE, 4)
    values.flat[: len(ids)] = ids
    mask(folder / "gtFine/val/bonn/bonn_val_000019_gtFine_labelIds.png", values)
    (annotation,) = open_dataset(f"seg:{folder}").annotations("val")
    assert annotation.pixels().ravel().tolist() == [*range(19), *[UNLABELLED] * (values.size - 19)]
