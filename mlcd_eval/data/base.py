"""The shape of data: a Dataset has splits, a Split has shards, a Shard yields Samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from mlcd_eval.data.annotations import Annotation
from mlcd_eval.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Kind = Literal[
    "classification", "multilabel", "retrieval", "refer", "docvqa", "pairs", "associations", "instances",
    "segmentation", "depth", "normals", "regions", "keypoints", "video", "images",
]  # fmt: skip
"""What a data set's images come with: labels, captions, sentences, questions, texts to choose from, words to choose
images for, lists of the images that show the same (instances), a class for each pixel (segmentation), how far it is
(depth), which way it faces (normals), parts that have a class (regions), points of two images (keypoints), objects in
clips (video), or nothing."""
EncodedImage: TypeAlias = "bytes | Path | Image.Image"
"""An image that is not decoded yet (the contents of a file, or its path), or a decoded one where the source keeps no
other."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One item. Picklable, so that worker processes can decode it.

    label: a class index (classification), a multi-hot tuple (multilabel), else None.
    texts: the captions (retrieval), else empty.
    """

    key: str
    image: EncodedImage
    label: int | tuple[int, ...] | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardScan:
    """What a shard holds, read without decoding an image.

    fingerprint: hex digest of the shard's contents (for a remote shard, of what its server says of them).
    num_samples: None where only reading the whole shard would show it (remote). missing: keys of samples
    whose image is a link to a file that does not exist; they cannot be decoded. num_classes: what its labels need, 1
    more than the highest class index; None where they are not known or are no class indices.
    """

    fingerprint: str
    num_samples: int | None
    missing: tuple[str, ...] = ()
    num_classes: int | None = None


class Shard(Protocol):
    """A part of a split that is read in one go: a tar file, or a range of an indexable dataset."""

    name: str

    def scan(self) -> ShardScan:
        """Check the shard and identify its contents; raises DataError (truncated, label out of range...)."""

    def samples(self) -> Iterator[Sample]:
        """The samples in their fixed order; raises DataError."""


@dataclass(frozen=True)
class Split:
    """One split of a dataset. `scan` reads headers and labels, never pixels."""

    dataset: str
    name: str
    shards: Sequence[Shard]

    @cached_property
    def scans(self) -> tuple[ShardScan, ...]:
        """Every shard's scan, each made once."""
        return tuple(shard.scan() for shard in self.shards)

    def scan(self) -> ShardScan:
        """The split's fingerprint (over its shards' fingerprints, in order) and size; raises DataError if empty."""
        sizes = [scan.num_samples for scan in self.scans]
        total = None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)
        if total == 0:
            raise DataError(f"split {self.name!r} of {self.dataset} is empty: got 0 samples, expected at least 1")
        digest = hashlib.sha256("\n".join(scan.fingerprint for scan in self.scans).encode()).hexdigest()
        shown = [scan.num_classes for scan in self.scans if scan.num_classes is not None]
        return ShardScan(fingerprint=digest, num_samples=total, num_classes=max(shown, default=None))


class Dataset(Protocol):
    """A dataset behind a reference. Opening it reads metadata only (names, lists, counts).

    name: as in records, such as `openclipart`; class_names and templates: None where the source has none.
    templates hold `{c}` where the class name goes.
    """

    name: str
    kind: Kind
    splits: tuple[str, ...]
    class_names: tuple[str, ...] | None
    templates: tuple[str, ...] | None

    def split(self, name: str) -> Split:
        """Raises DataError for a split that the data set does not have, naming those that it has."""


@runtime_checkable
class AnnotatedDataset(Dataset, Protocol):
    """A dataset whose scored items are not its images but sentences (refer), questions (docvqa), choices (pairs,
    associations), searches (instances), classes, depths or normals of pixels, parts (regions), points (keypoints) or
    clips (video) of them, or whose captions are in several languages (retrieval).

    A split's samples are its images, each once.
    """

    def annotations(self, split: str) -> Sequence[Annotation]:
        """The annotations of a split in their fixed order; raises DataError for an unknown split."""


@runtime_checkable
class AuthoredDataset(Dataset, Protocol):
    """A dataset that several authors split differently, under one name. split_by: the author of its splits."""

    split_by: str


@runtime_checkable
class LabelledDataset(Dataset, Protocol):
    """A dataset that knows how many classes it has, whatever names they have.

    num_classes: their number, None where the labels are plain class indices.
    """

    num_classes: int | None


@runtime_checkable
class GroupedDataset(Dataset, Protocol):
    """A dataset whose samples may belong to groups, between which accuracy may differ."""

    def groups(self, split: str) -> Mapping[str, str]:
        """Key -> group of every sample of a split; empty where the data names no groups."""


def groups_of(dataset: Dataset, split: str) -> Mapping[str, str]:
    """Key -> group of every sample of a split; empty for a dataset without groups."""
    return dataset.groups(split) if isinstance(dataset, GroupedDataset) else {}


def num_classes(dataset: Dataset) -> int | None:
    """The number of classes of a dataset: as it says itself, else of its class names; None where neither is known."""
    own = dataset.num_classes if isinstance(dataset, LabelledDataset) else None
    return own or (len(dataset.class_names) if dataset.class_names else None)


def num_scored(dataset: Dataset, split: str) -> int | None:
    """How many items of a split are scored; None where only reading the whole split would show it."""
    if isinstance(dataset, AnnotatedDataset):
        return len(dataset.annotations(split))
    return dataset.split(split).scan().num_samples


def fingerprint(dataset: Dataset, split: str) -> str:
    """Hex digest of a split's contents, annotations included."""
    images = dataset.split(split).scan().fingerprint
    if not isinstance(dataset, AnnotatedDataset):
        return images
    return _digest([images, *_lines(dataset, split)])


def annotations_fingerprint(dataset: AnnotatedDataset, split: str) -> str:
    """Hex digest of a split's annotations alone, which is all that saved predictions are scored against; no image is
    looked for."""
    return _digest(_lines(dataset, split))


def _lines(dataset: AnnotatedDataset, split: str) -> list[str]:
    """One for each annotation, of the fields by which annotations are equal or not."""
    compared = [
        {each.name: getattr(annotation, each.name) for each in fields(annotation) if each.compare}
        for annotation in dataset.annotations(split)
    ]
    return [json.dumps(line, sort_keys=True) for line in compared]


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
