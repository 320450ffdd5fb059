"""Tar files to train on, as img2dataset and webdataset's users write them: an image is required, a caption is not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal

from mlcd_eval.data.base import Sample
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.tar import HashingReader
from mlcd_eval.errors import DataError
from mlcd_eval.support.disk_memo import file_identity, memoised
from mlcd_eval.support.documents import parse_json
from mlcd_train.data.shard_cache import ShardCache
from mlcd_train.data.shards import Gone, TrainScan
from mlcd_train.data.storage import place_of, text_beside
from mlcd_train.data.tar_index import Row, TarIndex

_VERSION = 1  # of what a scan holds
LONGEST_TEXT = 1 << 16
"""Characters of a caption that are read; tokenizers cut it far earlier."""

Captions = Literal["txt", "json", "none"]


@dataclass
class TrainTar:
    """One tar file. captions: where they are; None: in .txt where a sample has one that is not blank, else in .json.

    The number of samples comes from img2dataset's NAME_stats.json or webdataset's sizes.json beside the file where it
    is there, else from one reading of the file. A remote file is read through a copy in the shard cache.
    """

    folder: str
    name: str
    captions: Captions | None
    memo: Path | None
    cache: ShardCache
    _scan: TrainScan | None = None
    _version: tuple[int, int] | None = None
    _coming: Future[IO[bytes]] | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """Its path or address."""
        return place_of(self.folder).path(self.name)

    def scan(self) -> TrainScan:
        """Count its samples and identify its contents. Raises DataError where it is damaged or missing."""
        place = place_of(self.folder)
        if isinstance(place, LocalFolder):
            path = Path(place.path(self.name))
            if not path.is_file():
                raise DataError(f"there is no file {path}, a shard of the training data")
            identity, digest = file_identity(path), None
        else:
            remote = place.digest(self.name)
            assert remote is not None, "remote files have a digest before they are read"
            identity = digest = remote.value

        if (counted := self._counted(digest)) is not None:
            return counted
        if self.memo is None:
            return self._read_through(digest)
        text = f"train {_VERSION} {self.captions} {identity}"
        return memoised(self.memo / "scans", text, TrainScan, lambda: self._read_through(digest))

    def _counted(self, digest: str | None) -> TrainScan | None:
        """The scan by what is written beside the file, None where nothing is."""
        place = place_of(self.folder)
        stats = text_beside(place, f"{self.name.removesuffix('.tar')}_stats.json")
        count = _successes(stats) if stats is not None else _sizes(self.folder).get(self.name)
        if count is None:
            return None
        if digest is None:
            size = Path(self.path).stat().st_size
            digest = hashlib.sha256(f"{self.name} {size} {count} {stats or ''}".encode()).hexdigest()
        return TrainScan(digest, count)

    def _read_through(self, digest: str | None) -> TrainScan:
        if digest is None:
            file: IO[bytes] = Path(self.path).open("rb")  # noqa: SIM115 OpenTar closes it
            digest = HashingReader(file).finish()
        else:
            file = self.cache.copy_of(self.folder, self.name, digest)
        opened = OpenTar(TarIndex(file, self.path), self.captions)
        try:
            without = sum(not opened.texts(row) for row in opened.index.rows) if self.captions != "none" else None
        finally:
            opened.close()
        return TrainScan(digest, len(opened.index.rows), without)

    def scanned(self, scan: TrainScan) -> None:
        """Take the scan that one of the ranks has made. From now on a local file must stay as it is."""
        self._scan = scan
        self._version = self._local_version()

    def samples(self) -> Iterator[Sample]:
        """All samples, in order."""
        opened = self.opened()
        try:
            yield from opened.rows(range(len(opened.index.rows)))
        finally:
            opened.close()

    def opened(self) -> OpenTar:
        """The file for reading by row. Raises DataError where it is not what was scanned, Gone where it is missing."""
        assert self._scan is not None, "shards are scanned before they are read"
        if self._is_local:
            if self._local_version() != self._version:
                raise DataError(
                    f"{self.path} changed since it was scanned: run the same command again, which scans it anew"
                )
            file: IO[bytes] = Path(self.path).open("rb")  # noqa: SIM115 OpenTar closes it
        else:
            coming, self._coming = self._coming, None
            file = coming.result() if coming else self._copy()
        index = TarIndex(file, self.path)
        if len(index.rows) != self._scan.num_samples:
            index.close()
            raise DataError(
                f"{self.path} holds {len(index.rows)} images, but what is written beside it says "
                f"{self._scan.num_samples}: delete its _stats.json or the folder's sizes.json to have them counted"
            )
        return OpenTar(index, self.captions)

    def prefetch(self) -> None:
        """Begin to download a remote file, which will be read soon."""
        if self._coming is None and not self._is_local:
            self._coming = _downloads(os.getpid()).submit(self._copy)

    @property
    def _is_local(self) -> bool:
        return isinstance(place_of(self.folder), LocalFolder)

    def _local_version(self) -> tuple[int, int] | None:
        if not self._is_local:
            return None
        try:
            status = Path(self.path).stat()
        except FileNotFoundError as error:
            raise Gone(f"{self.path}, which is missing: it was there when it was scanned") from error
        return status.st_size, status.st_mtime_ns

    def _copy(self) -> IO[bytes]:
        assert self._scan is not None, "shards are scanned before they are read"
        return self.cache.copy_of(self.folder, self.name, self._scan.fingerprint)


@dataclass(frozen=True)
class OpenTar:
    """A local tar file that is read by row."""

    index: TarIndex
    captions: Captions | None

    def rows(self, wanted: Sequence[int]) -> Iterator[Sample]:
        """The samples of some rows."""
        for number in wanted:
            row = self.index.rows[number]
            yield Sample(row.key, self.index.read(row.image), texts=self.texts(row))

    def texts(self, row: Row) -> tuple[str, ...]:
        """The captions of a row, empty where it has none."""
        if self.captions in (None, "txt") and row.txt is not None:
            text = self.index.read(row.txt)[: 4 * LONGEST_TEXT].decode("utf-8", "replace")[:LONGEST_TEXT]
            if lines := tuple(line for line in text.splitlines() if line.strip()):
                return lines
        if self.captions in (None, "json") and row.json is not None:
            return _caption(self.index.read(row.json))
        return ()

    def close(self) -> None:
        """Close the file."""
        self.index.close()


def _caption(contents: bytes) -> tuple[str, ...]:
    try:
        values = parse_json(contents)
    except ValueError:
        return ()
    caption = values.get("caption") if isinstance(values, dict) else None
    return (caption[:LONGEST_TEXT],) if isinstance(caption, str) and caption.strip() else ()


def _successes(stats: str) -> int | None:
    """The number of images that img2dataset says it has written."""
    try:
        values = parse_json(stats)
    except ValueError:
        return None
    count = values.get("successes") if isinstance(values, dict) else None
    return count if isinstance(count, int) else None


@lru_cache(maxsize=64)
def _sizes(folder: str) -> dict[str, int]:
    """The numbers of samples by file that webdataset's sizes.json holds."""
    try:
        values = parse_json(text_beside(place_of(folder), "sizes.json") or "{}")
    except ValueError:
        return {}
    return {name: count for name, count in values.items() if isinstance(count, int)} if isinstance(values, dict) else {}


@lru_cache(maxsize=4)
def _downloads(process: int) -> ThreadPoolExecutor:
    """Threads of this process: a forked one does not inherit them."""
    return ThreadPoolExecutor(2, thread_name_prefix="shards")
