"""Where the data sets of semantic segmentation keep images and masks, and what the numbers in their masks mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.data.annotations import UNLABELLED
from mlcd_eval.data.sources.layouts import SCENES, SCENES_FORM, Layout
from mlcd_eval.data.sources.listed import words_of
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.class_maps import Labelled
from mlcd_eval.data.storage.scene_files import INDEX, SceneFiles
from mlcd_eval.data.storage.walk import IMAGE_SUFFIXES
from mlcd_eval.errors import DataError


@dataclass(frozen=True)
class Pixels:
    """What a folder holds. splits: split -> its images and masks. class_names: None where the folder does not say."""

    splits: Mapping[str, Sequence[Labelled]]
    num_classes: int
    class_names: tuple[str, ...] | None


def _ade20k(folder: Path) -> Pixels:
    """Number 0 is no class; class n has the number n + 1 (Zhou et al. 2017, SceneParse150)."""
    classes = {0: UNLABELLED, **{number + 1: number for number in range(150)}}
    splits = {
        split: _same_names(folder / "images" / place, folder / "annotations" / place, classes)
        for split, place in (("train", "training"), ("val", "validation"))
        if (folder / "images" / place).is_dir()
    }
    return _checked(Pixels(splits, 150, _ade20k_names(folder / "objectInfo150.txt")), folder)


def _ade20k_names(path: Path) -> tuple[str, ...] | None:
    """The first name of each class, the last column of the table."""
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    names = tuple(line.split("\t")[-1].split(",")[0].strip() for line in lines if line.strip())
    if len(names) != 150:
        raise DataError(f"{path} names {len(names)} classes, expected 150")
    return names


VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip


def _voc(folder: Path) -> Pixels:
    """Of train and val; 255 is no class, 0 is the background, which counts as a class (Everingham et al. 2012)."""
    classes = {255: UNLABELLED, **{number: number for number in range(len(VOC))}}
    splits: dict[str, list[Labelled]] = {}
    for split in ("train", "val"):
        names = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        if not names.is_file():
            continue
        images, masks, splits[split] = folder / "JPEGImages", folder / "SegmentationClass", []
        for (name,) in words_of(names, 1):
            check_below(images, name, names)
            splits[split].append(Labelled(name, images / f"{name}.jpg", masks / f"{name}.png", classes))
    return _checked(Pixels(splits, len(VOC), VOC), folder)


CITYSCAPES = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""The scored classes, with their ids (cityscapesScripts, helpers/labels.py)."""
_CITYSCAPES_IDS = 34
_LEFT, _IDS = "_leftImg8bit.png", "_gtFine_labelIds.png"


def _cityscapes(folder: Path) -> Pixels:
    """Of train and val; the masks are those with ids, of which 19 are scored. 255 is what an id of -1 is written as."""
    classes = dict.fromkeys([*range(_CITYSCAPES_IDS), 255], UNLABELLED)
    classes |= {number: label for label, number in enumerate(CITYSCAPES.values())}
    splits = {}
    for split in ("train", "val"):
        images = sorted((folder / "leftImg8bit" / split).glob(f"*/*{_LEFT}"))
        masks = [
            folder / "gtFine" / split / image.parent.name / (image.name.removesuffix(_LEFT) + _IDS) for image in images
        ]
        if images:
            splits[split] = [
                Labelled(image.name.removesuffix(_LEFT), image, mask, classes)
                for image, mask in zip(images, masks, strict=True)
            ]
    return _checked(Pixels(splits, len(CITYSCAPES), tuple(CITYSCAPES)), folder)


COCO_REMOVED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
"""The ids of COCO-Stuff, of 1 to 182, that no pixel has."""


def _coco_stuff(folder: Path) -> Pixels:
    """A pixel's number is the id of its class less 1, 255 no class; 171 ids are in use (Caesar et al. 2018)."""
    ids = [number for number in range(1, 183) if number not in COCO_REMOVED]
    classes = {255: UNLABELLED, **{number - 1: label for label, number in enumerate(ids)}}
    masks = next((folder / name for name in ("stuffthingmaps", "annotations") if (folder / name).is_dir()), folder)
    splits = {}
    for split in ("train", "val"):
        images = next((each for each in (folder / "images", folder) if (each / f"{split}2017").is_dir()), None)
        if images is not None and (masks / f"{split}2017").is_dir():
            splits[split] = _same_names(images / f"{split}2017", masks / f"{split}2017", classes)
    return _checked(Pixels(splits, len(ids), _coco_names(folder / "labels.txt", ids)), folder)


def _coco_names(path: Path, ids: Sequence[int]) -> tuple[str, ...] | None:
    """The names of the ids in use, from lines such as `1: person`."""
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = dict(line.split(": ", 1) for line in lines if ": " in line)
    if missing := [number for number in ids if str(number) not in names]:
        raise DataError(f"{path} does not name the class {missing[0]}, expected lines such as '1: person'")
    return tuple(names[str(number)].strip() for number in ids)


def _scenes(folder: Path) -> Pixels:
    """Each view is an image, and the scene its unit; a mask has the numbers of the scene's things from 1."""
    files = SceneFiles(folder)
    splits = {}
    for split in ("train", "val", "test"):
        contents = files.contents(split) if split in files.splits else {}
        splits[split] = [
            Labelled(
                f"{scene.name}/{view}",
                files.member(contents, f"{scene.name}/{view}.webp"),
                files.member(contents, f"{scene.name}/{view}.instances.png"),
                {0: 0, **{number: thing.label for number, thing in enumerate(scene.things, 1)}},
                scene.name,
            )
            for scene in files.splits.get(split, ())
            for view in range(len(scene.cameras))
        ]
    names = tuple(files.index.classes)
    return _checked(Pixels({split: rows for split, rows in splits.items() if rows}, len(names), names), folder)


def _same_names(images: Path, masks: Path, classes: Mapping[int, int]) -> list[Labelled]:
    """The images of a folder, sorted, with the masks of their names."""
    files = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return [Labelled(path.stem, path, masks / f"{path.stem}.png", classes) for path in files]


def _checked(pixels: Pixels, folder: Path) -> Pixels:
    if not any(pixels.splits.values()):
        raise DataError(f"{folder} has no images of the splits train and val, expected some in one of them")
    return Pixels(
        {split: rows for split, rows in pixels.splits.items() if rows}, pixels.num_classes, pixels.class_names
    )


LAYOUTS: Mapping[str, Layout[Pixels]] = {
    SCENES: Layout(SCENES_FORM, (INDEX,), _scenes),
    "voc": Layout("JPEGImages, SegmentationClass and ImageSets/Segmentation", ("ImageSets/Segmentation",), _voc),
    "cityscapes": Layout("leftImg8bit and gtFine", ("leftImg8bit",), _cityscapes),
    "ade20k": Layout(
        "images/training, images/validation and annotations",
        ("annotations/training", "annotations/validation"),
        _ade20k,
    ),
    "coco_stuff": Layout(
        "train2017, val2017 (or images/train2017, ...) and stuffthingmaps",
        ("stuffthingmaps", "annotations/train2017", "annotations/val2017"),
        _coco_stuff,
    ),
}
"""In the order in which they are recognised."""
