"""Samples from a tar file read as a stream: one pass forward, nothing is extracted."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Literal, TypeVar

import numpy as np

from mlcd_eval.data.base import Kind, Sample
from mlcd_eval.data.labels import LabelRange
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import parse_json
from mlcd_eval.support.foreign import reading

T = TypeVar("T")

IMAGE_SUFFIXES = ("webp", "png", "jpg", "jpeg")  # in clip-benchmark's order of preference
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")  # webdataset's key: all before the first dot of the file name


class HashingReader:
    """A stream that hashes what is read through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all that are left for -1."""
        contents = self._stream.read(size)
        self._hash.update(contents)
        return contents

    def finish(self) -> str:
        """Read to the end (a tar ends before its file does); the sha256 of the whole stream in hex."""
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()


class Header(tarfile.TarInfo):
    """A tar header that requires a proper end: tarfile takes a cut or damaged header for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Header:
        """The next header; raises ReadError for one that is cut or damaged."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from error


Captions = Literal["txt", "json"]
"""The file of a sample that holds its captions: one per line, or the value of `caption`."""


def read_samples(stream: HashingReader, shard: str, kind: Kind, captions: Captions = "txt") -> Iterator[Sample]:
    """The samples of a clip-benchmark shard, grouped as webdataset does: neighbours with one key.

    shard: its name in messages. Raises DataError on a truncated or damaged tar and on a sample without an image, a
    label or captions, or with a label that is no class index or multi-hot vector.
    """
    labels = LabelRange(None)  # whether there is a name for each class matters to zero-shot only
    suffix = {"classification": "cls", "multilabel": "npy", "retrieval": captions}.get(kind)
    for key, files in grouped_files(stream, shard):
        where = f"sample {key!r} of {shard}"
        image = next((files[name] for name in IMAGE_SUFFIXES if name in files), None)
        if image is None:
            raise DataError(f"{where} has no image: got {sorted(files)}, expected one of {', '.join(IMAGE_SUFFIXES)}")
        if suffix is None:
            yield Sample(key, image)
            continue
        if suffix not in files:
            raise DataError(f"{where} has no label: got {sorted(files)}, expected .{suffix} in a {kind} dataset")
        if kind == "classification":
            yield Sample(key, image, label=labels.parse_index(files[suffix], where))
        elif kind == "multilabel":
            label = labels.parse_multi_hot(files[suffix], where)
            labels = LabelRange(len(label))  # the first sample shows the number of classes
            yield Sample(key, image, label=label)
        else:
            texts = _caption_of_json if captions == "json" else _captions
            yield Sample(key, image, texts=texts(files[suffix], where))


@dataclass(frozen=True)
class Metadata:
    """Key -> one entry of a sample's metadata."""

    entries: dict[str, int]


def read_metadata(stream: HashingReader, shard: str, entry: int) -> Metadata:
    """One entry, from 0, of the vector of whole numbers in the .npy of each sample. Raises DataError where a sample has
    none, or it is too short or holds something else."""
    return Metadata({key: _entry(files, f"{key!r} of {shard}", entry) for key, files in grouped_files(stream, shard)})


def _entry(files: Mapping[str, bytes], where: str, entry: int) -> int:
    if "npy" not in files:
        raise DataError(f"sample {where} has no metadata: got {sorted(files)}, expected .npy, whose entries are groups")
    with reading(f"the .npy of sample {where} is not readable"):
        values = np.lib.format.read_array(io.BytesIO(files["npy"]), allow_pickle=False)
    if values.ndim != 1 or len(values) <= entry:
        raise DataError(
            f"the .npy of sample {where} has no entry {entry}: got the shape {values.shape}, expected a vector of at "
            f"least {entry + 1}"
        )
    if values.dtype.kind not in "iufb" or not np.isfinite(values[entry]) or values[entry] != int(values[entry]):
        raise DataError(f"entry {entry} of the .npy of sample {where} is {values[entry]!r}, expected a whole number")
    return int(values[entry])


def _captions(contents: bytes, where: str) -> tuple[str, ...]:
    try:
        captions = tuple(line for line in contents.decode("utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise DataError(f"the captions of {where} are not UTF-8: {error}") from error
    if not captions:
        raise DataError(f"{where} has no caption: got only blank lines, expected one caption per line")
    return captions


def _caption_of_json(contents: bytes, where: str) -> tuple[str, ...]:
    try:
        values = parse_json(contents)
    except ValueError as error:
        raise DataError(f"the .json of {where} cannot be read: {error}") from error
    caption = values.get("caption") if isinstance(values, dict) else None
    if not isinstance(caption, str) or not caption.strip():
        raise DataError(f"{where} has no caption: got {caption!r:.80} as `caption` of its .json, expected text")
    return (caption,)


def grouped_files(stream: HashingReader, shard: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, suffix -> contents) of each sample of a tar file; raises DataError on a truncated or damaged one."""
    return grouped(_members(stream, shard), shard)


def grouped(members: Iterable[tuple[str, T]], shard: str) -> Iterator[tuple[str, dict[str, T]]]:
    """(key, suffix -> member) of each sample, given (name, member) pairs: neighbours with one key are one sample.

    Raises DataError for a name that a sample has twice.
    """
    key, files = None, dict[str, T]()
    for name, contents in members:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        if match[1] != key:
            if key is not None:
                yield key, files
            key, files = match[1], {}
        suffix = match[2].lower()
        if suffix in files:
            raise DataError(f"{shard} holds {name!r} twice in one sample, expected each file once")
        files[suffix] = contents
    if key is not None:
        yield key, files


def _members(stream: HashingReader, shard: str) -> Iterator[tuple[str, bytes]]:
    with (
        reading(f"{shard} is truncated or not a tar file"),
        tarfile.open(fileobj=stream, mode="r|", tarinfo=Header) as archive,  # type: ignore[call-overload]
    ):
        for member in archive:
            if member.issparse():
                raise DataError(
                    f"{shard} is refused: {member.name!r} is a sparse file, whose holes would be read as "
                    f"{member.size:,} bytes, expected plain files"
                )
            if member.isreg() and not re.match(r"__[^/]*__($|/)", member.name):  # webdataset's metadata
                contents = archive.extractfile(member)
                assert contents is not None
                yield member.name, contents.read()
            archive.members = []  # else every header stays in memory
