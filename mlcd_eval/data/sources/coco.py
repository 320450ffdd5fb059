"""COCO's annotation files: captions of images, or captions of regions with their masks or boxes.

Format: https://cocodataset.org/#format-data. A file whose captions have regions holds referring expressions, one per
annotation; a box without a mask is a mask of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from mlcd_eval.data.annotations import Expression
from mlcd_eval.data.base import Dataset, Kind, Sample, Split
from mlcd_eval.data.scheme import DataFacts, Options, Source, names_of
from mlcd_eval.data.sources.region_set import checked_box
from mlcd_eval.data.sources.table import existing_file
from mlcd_eval.data.sources.table_columns import check_below, place_of
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.errors import DataError

LONGEST_SIDE = 32_768
"""Pixels of an image's side: masks of larger ones would take gigabytes."""


class CocoFiles(Source):
    """The scheme `coco`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The captions of a file, or its expressions; with the file of the option `train`."""
        files = {"test": _read(address, options.get("images"))}
        if "train" in options:
            files = {"train": _read(options["train"], options.get("train_images") or options.get("images")), **files}
        kinds = {split: "refer" if file.has_regions else "retrieval" for split, file in files.items()}
        if len(set(kinds.values())) > 1:
            raise DataError(f"coco:{address} has captions of {kinds}: expected files of one kind")
        return (CocoExpressions if kinds["test"] == "refer" else CocoCaptions)(files, name, cache)

    def default_name(self, address: str) -> str:
        """The file's name without its suffix; the folder's where that is only `annotations`."""
        path = Path(address).absolute()
        return path.stem if path.stem != "annotations" else path.parent.name

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """NAME.json, or NAME/annotations.json."""
        files = (file for name in names_of(facts) for file in (root / f"{name}.json", root / name / "annotations.json"))
        return next((str(file) for file in files if _is_coco(file)), None)

    def discover(self, root: Path) -> list[str]:
        """NAME/annotations.json, and captions_*.json in the root, a folder of it or its folder `annotations`."""
        patterns = ("*/annotations.json", "captions_*.json", "*/captions_*.json", "*/annotations/captions_*.json")
        return [str(file) for pattern in patterns for file in root.glob(pattern) if _is_coco(file)]


def _is_coco(path: Path) -> bool:
    """Whether a file looks like COCO's, by its first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(1 << 16)
    return start.lstrip()[:1] == b"{" and any(key in start for key in (b'"images"', b'"annotations"', b'"info"'))


class _Image(BaseModel):
    id: int
    file_name: str
    width: int | None = Field(default=None, gt=0, le=LONGEST_SIDE)
    height: int | None = Field(default=None, gt=0, le=LONGEST_SIDE)


class _Annotation(BaseModel):
    """segmentation: polygons or run-length code; bbox: x, y, width, height in pixels."""

    id: int
    image_id: int
    caption: str | None = None
    segmentation: list[Any] | dict[str, Any] | None = None
    bbox: tuple[float, float, float, float] | None = None

    @property
    def region(self) -> list[Any] | dict[str, Any] | None:
        """The mask, else the box as a polygon, None without either."""
        if self.segmentation:
            return self.segmentation
        if self.box is None:
            return None
        left, top, right, bottom = self.box
        return [[left, top, right, top, right, bottom, left, bottom]]

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, right and bottom."""
        if self.bbox is None:
            return None
        x, y, width, height = self.bbox
        return x, y, x + width, y + height


class _File(BaseModel):
    """A file that was read; folder: of its images."""

    path: Path
    images: dict[int, _Image]
    annotations: list[_Annotation]
    images_option: str | None

    @property
    def has_regions(self) -> bool:
        return all(annotation.region is not None for annotation in self.annotations)

    @cached_property
    def folder(self) -> Path:
        """`?images=DIR`, else the first of the usual places in which the first image is."""
        if self.images_option is not None:
            return Path(self.images_option).expanduser()
        here = self.path.parent
        places = [here, here / "images", here.parent / "images", here.parent / self.path.stem.rpartition("_")[2]]
        first = next(iter(self.images.values())).file_name
        place = place_of(first, places, self.path)
        if place is None:
            raise DataError(
                f"the images of {self.path} are missing: expected {first} in one of {', '.join(map(str, places))}, or "
                f"?images=DIR"
            )
        return place

    def sample(self, number: int, texts: Sequence[str] = ()) -> Sample:
        """An image with its captions."""
        name = self.images[number].file_name
        check_below(self.folder, name, f"image {number} of {self.path}")
        return Sample(str(number), self.folder / name, texts=tuple(texts))


def _read(address: str, images_option: str | None) -> _File:
    path = existing_file(address)
    raw = read_json(path)
    if not isinstance(raw, dict) or not {"images", "annotations"} <= raw.keys():
        got = f"the keys {', '.join(raw)}" if isinstance(raw, dict) else f"a {type(raw).__name__}"
        raise DataError(f"{path} is no COCO file: got {got}, expected images and annotations")
    images = validated_json(list[_Image], raw["images"], path)
    annotations = validated_json(list[_Annotation], raw["annotations"], path)
    _check_once((image.id for image in images), "images", path)
    _check_once((annotation.id for annotation in annotations), "annotations", path)
    by_id = {image.id: image for image in images}
    for annotation in annotations:
        if annotation.image_id not in by_id:
            raise DataError(f"{path}: annotation {annotation.id} is of image {annotation.image_id}, which it lacks")
        if annotation.caption is None or not annotation.caption.strip():
            raise DataError(
                f"{path}: annotation {annotation.id} has no caption: got {annotation.caption!r}, expected text"
            )
    if not annotations:
        raise DataError(f"{path} has no annotations: expected at least one caption")
    return _File(path=path, images=by_id, annotations=annotations, images_option=images_option)


def _check_once(ids: Iterable[int], what: str, path: Path) -> None:
    seen: set[int] = set()
    for number in ids:
        if number in seen:
            raise DataError(f"{path} has two {what} of the id {number}: expected each once")
        seen.add(number)


class _CocoData:
    """What both kinds of data set share. files: split -> its file."""

    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, files: dict[str, _File], name: str, cache: Path | None) -> None:
        self.name, self._files, self._cache = name, files, cache
        self.splits = tuple(files)

    def _file(self, split: str) -> _File:
        if split not in self._files:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")
        return self._files[split]

    def _captions(self, file: _File) -> dict[int, list[str]]:
        """The captions of each image that has some, in the order of the images."""
        captions: dict[int, list[str]] = {number: [] for number in file.images}
        for annotation in file.annotations:
            captions[annotation.image_id].append((annotation.caption or "").strip())
        return {number: texts for number, texts in captions.items() if texts}


class CocoCaptions(_CocoData):
    """The images that have captions, in the order of the file; a key is an image's id."""

    kind: Kind = "retrieval"

    def split(self, name: str) -> Split:
        """The images with their captions."""
        file = self._file(name)
        samples = [file.sample(number, texts) for number, texts in self._captions(file).items()]
        return file_split(self.name, name, samples, self._cache)


class CocoExpressions(_CocoData):
    """Each annotation's caption as an expression of its region."""

    kind: Kind = "refer"

    def split(self, name: str) -> Split:
        """The images that expressions are about, each once."""
        file = self._file(name)
        return file_split(self.name, name, [file.sample(number) for number in self._captions(file)], self._cache)

    def annotations(self, split: str) -> Sequence[Expression]:
        """One expression per annotation; raises DataError for an image without a size, and for what is no region."""
        from mlcd_eval.data.storage.rle import as_rle

        file, expressions = self._file(split), []
        for annotation in file.annotations:
            image = file.images[annotation.image_id]
            if image.height is None or image.width is None:
                raise DataError(f"{file.path}: image {image.id} has no width and height, which masks need")
            size = image.height, image.width
            truth = as_rle(annotation.region, size, f"annotation {annotation.id} of {file.path}")
            caption = (annotation.caption or "").strip()
            box = annotation.box
            if box is not None:
                box = checked_box(box, size, f"annotation {annotation.id} of {file.path}")
            expressions.append(Expression(annotation.id, annotation.id, str(image.id), caption, size, truth, box=box))
        return expressions
