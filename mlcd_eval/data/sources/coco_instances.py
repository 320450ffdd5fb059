"""COCO's boxes and masks of things: annotations/instances_SPLITYEAR.json and the images beside them; also LVIS, whose
files are annotations/lvis_v1_SPLIT.json.

Crowds are left out: a crowd is no one thing. Format: https://cocodataset.org/#format-data (Lin et al. 2014; Gupta et
al. 2019).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from mlcd_eval.data.annotations import Region
from mlcd_eval.data.base import Sample
from mlcd_eval.data.sources.region_set import Part, RegionSet, checked_box
from mlcd_eval.data.sources.table_columns import check_below, place_of
from mlcd_eval.data.storage.images import decode
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.errors import DataError

LONGEST_SIDE = 32_768
"""Pixels of an image's side: masks of larger ones would take gigabytes."""
_NAME = re.compile(r"(?:instances|lvis_v\d+)_(train|val|test)(\d{4})?\.json")


def coco_instances(folder: Path, year: str | None, name: str, cache: Path | None) -> RegionSet:
    """The data set of a folder. Raises DataError where it has files of several years and none is asked for."""
    files = {split: _File(path, folder, name, cache) for split, path in _by_split(folder, year).items()}
    last = files[next(reversed(files))]  # the smallest, by which classes are known
    parts = {split: partial(_checked, file, last) for split, file in files.items()}
    return RegionSet(name, parts, last.class_names)


def _checked(file: _File, other: _File) -> Part:
    if file.class_names != other.class_names:
        raise DataError(f"{file.path} and {other.path} have other categories, expected the same")
    return file.part()


def instance_files(folder: Path) -> list[Path]:
    """The annotation files of a folder, sorted."""
    places = (folder / "annotations", folder)
    return sorted(path for place in places if place.is_dir() for path in place.iterdir() if _NAME.fullmatch(path.name))


def years_of(folder: Path) -> list[str]:
    """The years of its files, sorted; LVIS's have none."""
    return sorted({match[2] for path in instance_files(folder) if (match := _NAME.fullmatch(path.name)) and match[2]})


def _by_split(folder: Path, year: str | None) -> dict[str, Path]:
    """Split -> its file, train first."""
    found: dict[str, list[Path]] = {split: [] for split in ("train", "val", "test")}
    for path in instance_files(folder):
        match = _NAME.fullmatch(path.name)
        if match and year in (None, match[2]):
            found[match[1]].append(path)
    for split, paths in found.items():
        if len(paths) > 1:
            raise DataError(
                f"{folder} has files of the split {split!r} of several years: got "
                f"{', '.join(path.name for path in paths)}, expected ?year=YEAR, one of {', '.join(years_of(folder))}"
            )
    if not any(found.values()):
        raise DataError(f"{folder} has no file such as annotations/instances_val{year or 2017}.json, expected some")
    return {split: paths[0] for split, paths in found.items() if paths}


class _Image(BaseModel):
    id: int
    file_name: str | None = None
    coco_url: str | None = None
    width: int = Field(gt=0, le=LONGEST_SIDE)
    height: int = Field(gt=0, le=LONGEST_SIDE)

    @property
    def path(self) -> str:
        """LVIS names its images by their addresses at COCO, whose end is FOLDER/FILE."""
        return self.file_name or "/".join((self.coco_url or "").split("/")[-2:])


class _Category(BaseModel):
    id: int
    name: str


class _Annotation(BaseModel):
    """bbox: x, y, width, height in pixels; segmentation: polygons or run-length code."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = Field(default=None, ge=0)
    segmentation: list[Any] | dict[str, Any] | None = None
    iscrowd: bool = False


class _File:
    """One annotation file, which is read when it is first needed."""

    def __init__(self, path: Path, folder: Path, dataset: str, cache: Path | None) -> None:
        self.path, self._folder, self._dataset, self._cache = path, folder, dataset, cache

    @cached_property
    def _raw(self) -> dict[str, Any]:
        raw = read_json(self.path)
        needed = {"images", "annotations", "categories"}
        if not isinstance(raw, dict) or not needed <= raw.keys():
            got = f"the keys {', '.join(raw)}" if isinstance(raw, dict) else f"a {type(raw).__name__}"
            raise DataError(f"{self.path} holds no instances: got {got}, expected images, annotations and categories")
        return raw

    @cached_property
    def _categories(self) -> list[_Category]:
        """By rising id, whose order is that of the classes."""
        categories: list[_Category] = validated_json(list[_Category], self._raw["categories"], self.path)
        if len({category.id for category in categories}) < max(2, len(categories)):
            raise DataError(
                f"{self.path}: got {len(categories)} categories, expected two or more with an id of its own"
            )
        return sorted(categories, key=lambda category: category.id)

    @cached_property
    def _images(self) -> Mapping[int, _Image]:
        images: list[_Image] = validated_json(list[_Image], self._raw["images"], self.path)
        by_id = {image.id: image for image in images}
        if len(by_id) < len(images) or not images:
            raise DataError(f"{self.path} has {len(images)} images of {len(by_id)} ids, expected each id once")
        return by_id

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(category.name for category in self._categories)

    @cached_property
    def _image_folder(self) -> Path:
        """The first of the usual places in which the first image is."""
        match = _NAME.fullmatch(self.path.name)
        own = f"{match[1]}{match[2] or ''}" if match else ""
        places = [self._folder / place for place in (own, f"images/{own}", "images", "")]
        first = next(iter(self._images.values())).path
        place = place_of(first, places, self.path)
        if place is None:
            raise DataError(
                f"the images of {self.path} are missing: expected {first} in one of {', '.join(map(str, places))}"
            )
        return place

    def part(self) -> Part:
        """All its images, and what is marked in them."""
        samples = [self._sample(image) for image in self._images.values()]
        split = self.path.stem.split("_")[-1].rstrip("0123456789")
        return Part(file_split(self._dataset, split, samples, self._cache), self.regions)

    def _sample(self, image: _Image) -> Sample:
        check_below(self._image_folder, image.path, self.path)
        return Sample(str(image.id), self._image_folder / image.path)

    def regions(self) -> list[Region]:
        """Every annotation that is no crowd."""
        from mlcd_eval.data.storage.rle import as_rle

        label = {category.id: number for number, category in enumerate(self._categories)}
        annotations: list[_Annotation] = validated_json(list[_Annotation], self._raw["annotations"], self.path)
        regions: dict[int, Region] = {}
        for each in annotations:
            where = f"{self.path}: annotation {each.id}"
            if each.image_id not in self._images:
                raise DataError(f"{where} is of image {each.image_id}, which the file lacks")
            if each.category_id not in label:
                raise DataError(
                    f"{where} has the category {each.category_id}, expected one of {min(label)} to {max(label)} that "
                    "the file names"
                )
            if each.id in regions:
                raise DataError(f"{where} occurs twice, expected each id once")
            if each.iscrowd:
                continue
            image = self._images[each.image_id]
            size = image.height, image.width
            x, y, width, height = each.bbox
            sample = self._sample(image)
            regions[each.id] = Region(
                image=sample.key,
                region_id=str(each.id),
                label=label[each.category_id],
                size=size,
                box=checked_box((x, y, x + width, y + height), size, where),
                area=width * height if each.area is None else each.area,
                truth=None if each.segmentation is None else as_rle(each.segmentation, size, where),
                thing=str(each.id),
                unit=sample.key,
                picture=partial(decode, sample.image, sample.key),
            )
        return list(regions.values())
