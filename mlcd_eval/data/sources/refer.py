"""RefCOCO's layout: ROOT/NAME/{refs(SPLIT_BY).p, instances.json} and the images beside them; gRefCOCO's has
grefs(SPLIT_BY).json.

Every sentence of a split is a sample. The truth is the union of all parts of the annotations that it refers to, which
are several or none in gRefCOCO. References: the refer API (Kazemzadeh et al. 2014; Yu et al. 2016), gRefCOCO's G_REFER
(Liu et al. 2023).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from mlcd_eval.data.annotations import Expression, GeneralizedExpression
from mlcd_eval.data.base import Kind, Sample, Split
from mlcd_eval.data.scheme import DataFacts, Options, Source
from mlcd_eval.data.sources.region_set import checked_box
from mlcd_eval.data.sources.table_columns import check_below, place_of
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.data.storage.rle import as_rle, union
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.errors import ConfigError, DataError, nearest

IMAGE_FOLDERS = ("images/mscoco/images/train2014", "images/train2014", "train2014", "images/{name}", "images", "{name}")
"""The folders below the root in which the images of a data set may be: the refer API's first."""
LONGEST_SIDE = 32_768
"""Pixels of an image's side: masks of larger ones would take gigabytes."""
REFS_FILES = ("refs({}).p", "grefs({}).json", "grefs({}).p")
"""What the file of the referring expressions may be called, by the author of the splits."""
USUAL_SPLIT_BY = {"refcocog": "umd"}
"""The author whose splits a data set's name alone means, where it is not unc. Papers on RefCOCOg report umd's splits,
whose images do not overlap; google's are other data."""


class ReferDatasets(Source):
    """The scheme `refer`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> ReferDataset:
        """The data set, or one scored split of it."""
        return ReferDataset(parse_address(address), name, cache)

    def default_name(self, address: str) -> str:
        """NAME, NAME_SPLIT for one split; with the author of the splits after NAME where it is not the usual one."""
        place = parse_address(address)
        is_usual = place.split_by == USUAL_SPLIT_BY.get(place.folder, "unc")
        return "_".join(part for part in (place.folder, None if is_usual else place.split_by, place.split) if part)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The expressions of the known author in NAME, in the root or in its folder `refer`."""
        for folder in (root / facts.name, root / "refer" / facts.name):
            if facts.split_by and _refs_file(folder, facts.split_by):
                return f"{folder}/{facts.split_by}"
        return None

    def discover(self, root: Path) -> list[str]:
        """Every NAME and SPLIT_BY in the root or in its folder `refer`."""
        folders = [folder for base in (root, root / "refer") for folder in base.glob("*")]
        return [f"{folder}/{split_by}" for folder in folders for split_by in split_bys(folder)]

    def is_copy_of(self, address: str, facts: DataFacts) -> bool:
        """Whether name and author of the splits are those of the known data set."""
        place = parse_address(address)
        return (place.folder, place.split_by) == (facts.name, facts.split_by)


class Address(NamedTuple):
    """ROOT/FOLDER/SPLIT_BY/SPLIT taken apart. split: the one that alone is scored, None for all of them."""

    root: Path
    folder: str
    split_by: str
    split: str | None


def _refs_file(folder: Path, split_by: str) -> Path | None:
    """The file of the referring expressions, None where there is none."""
    files = (folder / name.format(split_by) for name in REFS_FILES)
    return next((file for file in files if file.is_file()), None)


def parse_address(address: str) -> Address:
    """ROOT/NAME/SPLIT_BY or ROOT/NAME/SPLIT_BY/SPLIT; raises ConfigError for one that is too short."""
    path = Path(address).expanduser()
    if len(path.parts) >= 4 and not _refs_file(path.parent, path.name):
        return Address(path.parents[2], path.parts[-3], path.parts[-2], path.parts[-1])
    if len(path.parts) < 3:
        raise ConfigError(f"dataset refer:{address} is too short: expected refer:ROOT/NAME/SPLIT_BY/SPLIT")
    return Address(path.parents[1], path.parts[-2], path.parts[-1], None)


class _Sentence(BaseModel):
    sent_id: int
    sent: str


class _Ref(BaseModel):
    """ann_id: one annotation (RefCOCO), or a list (gRefCOCO), which is [-1] where nothing is referred to."""

    ref_id: int
    ann_id: int | list[int]
    image_id: int
    split: str
    sentences: list[_Sentence]
    no_target: bool | None = None

    @property
    def targets(self) -> list[int]:
        """The annotations that are referred to."""
        ids = self.ann_id if isinstance(self.ann_id, list) else [self.ann_id]
        return [] if ids == [-1] else ids


class _Image(BaseModel):
    id: int
    file_name: str
    width: int = Field(gt=0, le=LONGEST_SIDE)
    height: int = Field(gt=0, le=LONGEST_SIDE)


class _Annotation(BaseModel):
    id: int
    segmentation: list[Any] | dict[str, Any]
    bbox: tuple[float, float, float, float] | None = None
    iscrowd: bool = False


class ReferDataset:
    """The expressions and instances.json of ROOT/NAME. Where the address names a split, the data set has that split and
    train, for protocols that learn. Images are looked for only when a split is asked for, since saved masks are scored
    without them.

    split_by: the author of the splits. Raises DataError for files that are missing, damaged or do not fit together.
    """

    kind: Kind = "refer"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, address: Address, name: str, cache: Path | None) -> None:
        self.name, self.split_by = name, address.split_by
        self._root, self._folder, self._cache = address.root, address.folder, cache
        self._refs_path, self._refs = _read_refs(address)
        self._is_generalized = any(isinstance(ref.ann_id, list) or not ref.targets for ref in self._refs)
        splits, scored = dict.fromkeys(ref.split for ref in self._refs), address.split
        if scored is not None and scored not in splits:
            raise DataError(
                f"{self._refs_path} has no split {scored!r}: got {', '.join(splits)}{nearest(scored, splits)}"
            )
        self.splits = tuple(split for split in splits if scored is None or split in ("train", scored))
        self._annotations: dict[str, list[Expression]] = {}

    @cached_property
    def _instances(self) -> tuple[dict[int, _Image], dict[int, _Annotation]]:
        path = self._root / self._folder / "instances.json"
        if not path.is_file():
            raise DataError(f"{path} is missing, expected COCO's images and annotations")
        raw = read_json(path)
        if not isinstance(raw, dict):
            raise DataError(f"{path} holds a {type(raw).__name__}, expected images and annotations")
        images = validated_json(list[_Image], raw.get("images", []), path)
        annotations = validated_json(list[_Annotation], raw.get("annotations", []), path)
        return {image.id: image for image in images}, {annotation.id: annotation for annotation in annotations}

    @cached_property
    def _image_folder(self) -> Path:
        folders = [self._root / folder.format(name=self._folder) for folder in IMAGE_FOLDERS]
        first = next(iter(self._instances[0].values())).file_name
        place = place_of(first, folders, "instances.json")
        if place is None:
            raise DataError(
                f"the images of {self.name} are missing: expected {first} in one of {', '.join(map(str, folders))}"
            )
        return place

    def _file_of(self, number: int) -> Path:
        name = self._image(number).file_name
        check_below(self._image_folder, name, "instances.json")
        return self._image_folder / name

    def split(self, name: str) -> Split:
        """The images of a split, each once, in the order in which its sentences first name them."""
        numbers = dict.fromkeys(ref.image_id for ref in self._refs_of(name))
        samples = [Sample(str(number), self._file_of(number)) for number in numbers]
        return file_split(self.name, name, samples, self._cache)

    def _image(self, number: int) -> _Image:
        images = self._instances[0]
        if number not in images:
            raise DataError(f"{self._refs_path} refers to image {number}, which instances.json does not hold")
        return images[number]

    def _refs_of(self, split: str) -> list[_Ref]:
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")
        return [ref for ref in self._refs if ref.split == split]

    def annotations(self, split: str) -> Sequence[Expression]:
        """Every sentence of the split."""
        if split not in self._annotations:
            self._annotations[split] = list(self._expressions(split))
        return self._annotations[split]

    def _expressions(self, split: str) -> Iterator[Expression]:
        sent_ids: set[int] = set()
        for ref in self._refs_of(split):
            size, truth = self._truth(ref)
            box = self._box(ref, size)
            for sentence in ref.sentences:
                if sentence.sent_id in sent_ids:
                    raise DataError(
                        f"{self._refs_path}: the sent_id {sentence.sent_id} occurs twice in {split}, expected each once"
                    )
                sent_ids.add(sentence.sent_id)
                common = sentence.sent_id, ref.ref_id, str(ref.image_id), sentence.sent, size, truth
                if self._is_generalized:
                    yield GeneralizedExpression(*common, has_target=bool(ref.targets), box=box)
                else:
                    yield Expression(*common, box=box)

    def _truth(self, ref: _Ref) -> tuple[tuple[int, int], dict[str, Any]]:
        """(height, width) of the image, and the union of the annotations as RLE. Of several, crowds are left out, as
        G_REFER does."""
        image, annotations = self._image(ref.image_id), self._instances[1]
        for target in ref.targets:
            if target not in annotations:
                raise DataError(
                    f"{self._refs_path}: ref {ref.ref_id} names annotation {target} of image {ref.image_id}, which "
                    f"instances.json does not hold"
                )
        if ref.no_target is not None and ref.no_target == bool(ref.targets):
            raise DataError(
                f"{self._refs_path}: ref {ref.ref_id} has no_target {ref.no_target} and ann_id {ref.ann_id}, expected "
                f"no_target where ann_id is [-1], and nowhere else"
            )
        size = image.height, image.width
        masks = [
            as_rle(annotations[target].segmentation, size, f"annotation {target} of {self.name}")
            for target in ref.targets
            if not (self._is_generalized and annotations[target].iscrowd)
        ]
        return size, union(masks, size)

    def _box(self, ref: _Ref, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
        """The annotated box of the only target, which `_truth` has found."""
        box = self._instances[1][ref.targets[0]].bbox if len(ref.targets) == 1 else None
        if box is None:
            return None
        x, y, width, height = box
        return checked_box((x, y, x + width, y + height), size, f"annotation {ref.targets[0]} of {self.name}")


def _read_refs(address: Address) -> tuple[Path, list[_Ref]]:
    """The file of the referring expressions, and what it holds."""
    folder = address.root / address.folder
    path = _refs_file(folder, address.split_by)
    if path is None:
        known = split_bys(folder)
        choice = f"SPLIT_BY one of {', '.join(known)}" if known else "such a file"
        missing = folder / REFS_FILES[0].format(address.split_by)
        raise DataError(f"{missing} is missing: expected {choice}{nearest(address.split_by, known)}")
    return path, validated_json(list[_Ref], read_json(path) if path.suffix == ".json" else read_pickle(path), path)


def split_bys(folder: Path) -> list[str]:
    """The SPLIT_BY of each file of referring expressions in a folder, sorted."""
    patterns = [re.escape(name).replace(r"\{\}", "(.+)") for name in REFS_FILES]
    names = [path.name for path in folder.glob("*refs(*).*")]
    return sorted({match[1] for name in names for pattern in patterns if (match := re.fullmatch(pattern, name))})
