"""RefCOCO's layout: ROOT/NAME/{refs(SPLIT_BY).p, instances.json} and the images beside them.

Every sentence of a split is a sample. The truth is the union of the referred annotation's parts; polygons, compressed
and uncompressed run-length codes occur. Reference: the refer API (Kazemzadeh et al. 2014; Yu et al. 2016).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError

from mlcd_eval.data.base import Expression, Kind, Sample, Split
from mlcd_eval.data.scheme import DataFacts, Options, Source
from mlcd_eval.data.storage.rle import as_rle
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.errors import ConfigError, DataError, nearest

IMAGE_FOLDERS = ("images/mscoco/images/train2014", "images/train2014", "train2014", "images/{name}", "images", "{name}")
"""The folders below the root in which the images of a data set may be: the refer API's first."""


class ReferDatasets(Source):
    """The scheme `refer`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> ReferDataset:
        """The data set, or one scored split of it."""
        return ReferDataset(parse_address(address), name, cache)

    def default_name(self, address: str) -> str:
        """NAME, or NAME_SPLIT for one split."""
        place = parse_address(address)
        return f"{place.folder}_{place.split}" if place.split else place.folder

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """NAME/refs(SPLIT_BY).p in the root or in its folder `refer`."""
        for folder in (root / facts.name, root / "refer" / facts.name):
            if facts.split_by and _refs_file(folder, facts.split_by).is_file():
                return f"{folder}/{facts.split_by}"
        return None

    def discover(self, root: Path) -> list[str]:
        """Every NAME/refs(SPLIT_BY).p in the root or in its folder `refer`."""
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

    @property
    def refs_file(self) -> Path:
        """The file of the referring expressions."""
        return _refs_file(self.root / self.folder, self.split_by)


def _refs_file(folder: Path, split_by: str) -> Path:
    return folder / f"refs({split_by}).p"


def parse_address(address: str) -> Address:
    """ROOT/NAME/SPLIT_BY or ROOT/NAME/SPLIT_BY/SPLIT; raises ConfigError for one that is too short."""
    path = Path(address).expanduser()
    if len(path.parts) >= 4 and not _refs_file(path.parent, path.name).is_file():
        return Address(path.parents[2], path.parts[-3], path.parts[-2], path.parts[-1])
    if len(path.parts) < 3:
        raise ConfigError(f"dataset refer:{address} is too short: expected refer:ROOT/NAME/SPLIT_BY/SPLIT")
    return Address(path.parents[1], path.parts[-2], path.parts[-1], None)


class _Sentence(BaseModel):
    sent_id: int
    sent: str


class _Ref(BaseModel):
    ref_id: int
    ann_id: int
    image_id: int
    split: str
    sentences: list[_Sentence]


class _Image(BaseModel):
    id: int
    file_name: str
    width: int
    height: int


class _Annotation(BaseModel):
    id: int
    image_id: int
    segmentation: list[Any] | dict[str, Any]


class ReferDataset:
    """refs(SPLIT_BY).p and instances.json of ROOT/NAME. Where the address names a split, the data set has that split
    and train, for what has to learn. Raises DataError for files that are missing, damaged or do not fit together."""

    kind: Kind = "refer"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, address: Address, name: str, cache: Path | None) -> None:
        self.name = name
        self._root, self._folder, self._cache = address.root, address.folder, cache
        self._refs_path = address.refs_file
        if not self._refs_path.is_file():
            known = split_bys(self._refs_path.parent)
            choice = f"SPLIT_BY one of {', '.join(known)}" if known else "such a file"
            raise DataError(f"{self._refs_path} is missing: expected {choice}{nearest(address.split_by, known)}")
        self._refs = _validated(list[_Ref], read_pickle(self._refs_path), self._refs_path)
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
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(f"{path} is missing, expected COCO's images and annotations") from error
        except ValueError as error:
            raise DataError(f"{path} is not JSON: {error}") from error
        if not isinstance(raw, dict):
            raise DataError(f"{path} holds a {type(raw).__name__}, expected images and annotations")
        images = _validated(list[_Image], raw.get("images", []), path)
        annotations = _validated(list[_Annotation], raw.get("annotations", []), path)
        return {image.id: image for image in images}, {annotation.id: annotation for annotation in annotations}

    @cached_property
    def _images(self) -> Path:
        folders = [self._root / folder.format(name=self._folder) for folder in IMAGE_FOLDERS]
        first = next(iter(self._instances[0].values())).file_name
        for folder in folders:
            if (folder / first).is_file():
                return folder
        raise DataError(
            f"the images of {self.name} are missing: expected {first} in one of {', '.join(map(str, folders))}"
        )

    def split(self, name: str) -> Split:
        """The images of a split, each once, in the order in which its sentences first name them."""
        numbers = dict.fromkeys(ref.image_id for ref in self._refs_of(name))
        images = self._instances[0]
        samples = []
        for number in numbers:
            if number not in images:
                raise DataError(f"{self._refs_path} refers to image {number}, which instances.json does not hold")
            samples.append(Sample(str(number), _inside(self._images, images[number].file_name)))
        return file_split(self.name, name, samples, self._cache)

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
        images, annotations = self._instances
        for ref in self._refs_of(split):
            if ref.ann_id not in annotations or ref.image_id not in images:
                raise DataError(
                    f"{self._refs_path}: ref {ref.ref_id} names annotation {ref.ann_id} of image {ref.image_id}, which "
                    f"instances.json does not hold"
                )
            image = images[ref.image_id]
            size = (image.height, image.width)
            truth = as_rle(annotations[ref.ann_id].segmentation, size, f"annotation {ref.ann_id} of {self.name}")
            for sentence in ref.sentences:
                yield Expression(sentence.sent_id, ref.ref_id, str(ref.image_id), sentence.sent, size, truth)


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder; raises DataError for a name that leads out of it."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"instances.json names the image {name!r}, expected a file below {folder}")
    return folder / name


def _validated(kind: Any, values: Any, path: Path) -> Any:
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: {where or 'the whole file'}: {first['msg']}") from error


def split_bys(folder: Path) -> list[str]:
    """The SPLIT_BY of each refs(SPLIT_BY).p in a folder, sorted."""
    names = sorted(path.name for path in folder.glob("refs(*).p"))
    return [match[1] for name in names if (match := re.fullmatch(r"refs\((.+)\)\.p", name))]
