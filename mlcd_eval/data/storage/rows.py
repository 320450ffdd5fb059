"""Shards of an indexable dataset: ranges of rows, fingerprinted by their contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mlcd_eval.data.base import EncodedImage, Sample, ShardScan, Split
from mlcd_eval.data.scans import kept_scan
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import DataError
from mlcd_eval.support.disk_memo import file_identity

ROWS_PER_SHARD = 1024


def ranges(size: int) -> list[range]:
    """The rows of each shard of a dataset of `size` rows."""
    return [range(start, min(start + ROWS_PER_SHARD, size)) for start in range(0, size, ROWS_PER_SHARD)]


class RowShard:
    """Some rows of a dataset.

    rows: returns the samples, each time it is called. identity: a text that changes when the rows do, known without
    reading images (the scan is kept under it); None where only reading shows it. dangling: a link to no file is a
    sample that cannot be decoded, and does not make the shard invalid.
    """

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterable[Sample]],
        cache: Path | None,
        identity: Callable[[], str] | None = None,
        dangling: bool = False,
    ) -> None:
        self.name = name
        self._rows = rows
        self._cache = cache
        self._identity = identity
        self._dangling = dangling
        self._scan: ShardScan | None = None

    def scan(self) -> ShardScan:
        """Hash each row: key, label, texts and image; raises DataError on a missing image or a label out of range."""
        if self._scan is None:
            if self._identity is None:
                self._scan = self._read_through()
            else:
                self._scan = kept_scan(self._cache, self._identity(), self._read_through)
        return self._scan

    def _read_through(self) -> ShardScan:
        digest, count, missing, num_classes = hashlib.sha256(), 0, [], 0
        for row in self._rows():
            if absent := self._dangling and _is_dangling(row.image):
                missing.append(row.key)
            line = [row.key, row.label, row.texts, None if absent else image_digest(row.image, row.key)]
            digest.update(json.dumps(line).encode() + b"\n")
            count += 1
            num_classes = max(num_classes, needed_classes(row))
        return ShardScan(digest.hexdigest(), count, tuple(missing), num_classes or None)

    def samples(self) -> Iterator[Sample]:
        """The rows in order."""
        yield from self._rows()


def needed_classes(sample: Sample) -> int:
    """The number of classes without which its label cannot be; 0 where it has no class index."""
    return sample.label + 1 if isinstance(sample.label, int) else 0


def file_split(dataset: str, name: str, samples: Sequence[Sample], cache: Path | None, dangling: bool = False) -> Split:
    """A split of image files, 1,024 per shard; a shard is recognised by its files' sizes and times. dangling: see
    RowShard."""
    shards = []
    for rows in ranges(len(samples)):
        part = list(samples[rows.start : rows.stop])
        identity = partial(files_identity, part, dangling)
        shards.append(RowShard(f"{name}/{rows.start}-{rows.stop - 1}", part.copy, cache, identity, dangling))
    return Split(dataset, name, shards)


def files_identity(rows: Iterable[Sample], dangling: bool = False) -> str:
    """The identity of rows by their image files."""
    digest = hashlib.sha256()
    for row in rows:
        if not isinstance(row.image, Path):
            continue
        try:
            identity = file_identity(row.image)
        except (OSError, ValueError) as error:
            if not (dangling and _is_dangling(row.image)):
                raise _unreadable(row.image, row.key, error) from error
            identity = "dangling"
        line = [row.key, row.label, row.texts, identity]
        digest.update(json.dumps(line).encode() + b"\n")
    return digest.hexdigest()


def image_digest(image: EncodedImage, key: str) -> str:
    """Hex digest of an image's contents; raises DataError where its file is missing."""
    if isinstance(image, bytes):
        contents = image
    elif isinstance(image, Path):
        try:
            file_identity(image)
            contents = image.read_bytes()
        except (OSError, ValueError) as error:
            raise _unreadable(image, key, error) from error
    else:  # what an encoder will see of it
        contents = f"{image.size} ".encode() + decode(image, key).tobytes()
    return hashlib.sha256(contents).hexdigest()


def _is_dangling(image: EncodedImage) -> bool:
    return isinstance(image, Path) and image.is_symlink() and not image.exists()


def _unreadable(path: Path, key: str, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"the image of sample {key!r} is missing: there is no file {path}")
    return DataError(f"the image of sample {key!r} cannot be read from {str(path)!r}: {error}")
