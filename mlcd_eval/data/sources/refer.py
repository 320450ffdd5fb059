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
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from mlcd_eval.data.base import Expression, Kind, Sample, Split
from mlcd_eval.data.storage.rle import as_rle
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.data.storage.safe_pickle import read_pickle
from mlcd_eval.errors import DataError, nearest

IMAGE_FOLDERS = ("images/mscoco/images/train2014", "images/train2014", "train2014", "images/{name}", "images", "{name}")
"""Below the root, where the images of a data set may be: the refer API's place first."""


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
    """refs(SPLIT_BY).p and instances.json of ROOT/NAME. only: a split that alone is to be scored; train stays for what
    learns. Raises DataError for what is missing, damaged or does not fit together."""

    kind: Kind = "refer"
    class_names: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None

    def __init__(self, root: Path, folder: str, split_by: str, only: str | None, name: str, cache: Path | None) -> None:
        self.name = name
        self._root, self._folder, self._cache = root, folder, cache
        place = root / folder
        self._refs_path = place / f"refs({split_by}).p"
        if not self._refs_path.is_file():
            found = split_bys(place)
            raise DataError(
                f"{self._refs_path} is missing: expected it, with split_by one of {', '.join(found) or 'none there'}"
                f"{nearest(split_by, found)}"
            )
        self._refs = _validated(list[_Ref], read_pickle(self._refs_path), self._refs_path)
        there = dict.fromkeys(ref.split for ref in self._refs)
        if only is not None and only not in there:
            raise DataError(f"{self._refs_path} has no split {only!r}: got {', '.join(there)}{nearest(only, there)}")
        self.splits = tuple(split for split in there if only is None or split in ("train", only))
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
        return {image.id: image for image in images}, {one.id: one for one in annotations}

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
        raise DataError(f"{path}: {where or 'the whole'}: {first['msg']}") from error


def split_bys(folder: Path) -> list[str]:
    """The SPLIT_BY of each refs(SPLIT_BY).p in a folder, sorted."""
    names = sorted(path.name for path in folder.glob("refs(*).p"))
    return [match[1] for name in names if (match := re.fullmatch(r"refs\((.+)\)\.p", name))]
