"""clip-benchmark's webdataset layout, from a local folder or a web address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mlcd_eval.data.base import Kind, Sample, ShardScan, Split
from mlcd_eval.data.prompts import read_class_names, read_templates
from mlcd_eval.data.scans import kept_scan
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.storage.location import LocalFolder, Location, is_web_address
from mlcd_eval.data.storage.rows import needed_classes
from mlcd_eval.data.storage.tar import Captions, HashingReader, Metadata, read_metadata, read_samples
from mlcd_eval.errors import DataError, nearest
from mlcd_eval.support.disk_memo import file_identity, memoised

SPLITS = ("train", "val", "test")
MOST_SHARDS = 1_000_000
TYPES: tuple[Kind, ...] = ("classification", "multilabel", "retrieval")


def location_of(root: str, *, offline: bool) -> Location:
    """A local folder, or an http(s) address; raises DataError for an address where offline."""
    if not is_web_address(root):
        return LocalFolder(Path(root).expanduser())
    if offline:
        raise DataError(f"{root} is on the network, and this run is offline: expected a local folder")
    from mlcd_eval.data.storage.remote import RemoteFolder

    return RemoteFolder(root)


class WebDatasets(FolderSource):
    """The scheme `wds`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> WebDataset:
        """The data set in a folder or at a web address."""
        return WebDataset(location_of(address, offline=offline), name, cache)

    def is_on_network(self, address: str) -> bool:
        """Whether it is a web address."""
        return is_web_address(address)

    def has_layout(self, folder: Path) -> bool:
        """Whether it is in clip-benchmark's layout."""
        return any((folder / split / "nshards.txt").is_file() for split in SPLITS)


class WebDataset:
    """root/{classnames.txt, zeroshot_classification_templates.txt, dataset_type.txt} and
    root/<split>/{nshards.txt, 0.tar, 1.tar, ...}.

    Raises DataError where nshards.txt is missing or a text file is not valid.
    """

    def __init__(self, location: Location, name: str, cache: Path | None) -> None:
        self.name = name
        self._location = location
        self._cache = cache
        self.kind = self._read_kind()
        self._num_shards = self._read_num_shards()
        self.splits = tuple(self._num_shards)
        self.class_names = None if self.kind == "retrieval" else read_class_names(location)
        self.templates = None if self.kind == "retrieval" else read_templates(location)
        self._opened: dict[str, Split] = {}

    def split(self, name: str) -> Split:
        """The split's shards, whose scans are kept as long as this object."""
        if name not in self._num_shards:
            raise DataError(
                f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)} in {self._location}"
            )
        if name not in self._opened:
            shards = [
                TarShard(self._location, f"{name}/{number}.tar", self.kind, self._cache)
                for number in range(self._num_shards[name])
            ]
            self._opened[name] = Split(self.name, name, shards)
        return self._opened[name]

    def metadata(self, split: str, entry: int) -> dict[str, int]:
        """Key -> an entry of the .npy that each sample of a split has beside its label, as in DataComp's copies."""
        shards = [shard for shard in self.split(split).shards if isinstance(shard, TarShard)]
        return {key: value for shard in shards for key, value in shard.metadata(entry).items()}

    def _read_kind(self) -> Kind:
        text = self._location.read_text("dataset_type.txt")
        kind = "classification" if text is None else text.strip().lower()
        for valid in TYPES:
            if kind == valid:
                return valid
        raise DataError(
            f"{self._location}/dataset_type.txt holds an unknown type: got {kind[:40]!r}, "
            f"expected one of {', '.join(TYPES)}{nearest(kind, TYPES)}"
        )

    def _read_num_shards(self) -> dict[str, int]:
        folders = self._location.folders()
        num_shards = {}
        for split in dict.fromkeys([*SPLITS, *folders]):
            text = self._location.read_text(f"{split}/nshards.txt")
            if text is not None:
                num_shards[split] = self._parse_num_shards(text, split)
            elif split in SPLITS and split in folders:
                raise DataError(
                    f"{self._location}/{split}/nshards.txt is missing: expected the number of tar files in it"
                )
        if not num_shards:
            raise DataError(
                f"{self._location} is not in clip-benchmark's layout: expected train/nshards.txt or test/nshards.txt"
            )
        return num_shards

    def _parse_num_shards(self, text: str, split: str) -> int:
        if not re.fullmatch(r"\s*\d+\s*", text):
            raise DataError(f"{self._location}/{split}/nshards.txt holds {text.strip()[:40]!r}, expected one integer")
        if len(text.strip()) > len(str(MOST_SHARDS)) or int(text) > MOST_SHARDS:
            raise DataError(
                f"{self._location}/{split}/nshards.txt holds {text.strip()[:40]}, expected at most {MOST_SHARDS:,}"
            )
        return int(text)


class TarShard:
    """One tar file. captions: the file of a sample that holds them.

    A local file is read once to be hashed and checked. A remote file is identified by what its server says of it and
    checked while it is streamed. Where the sha256 is known, `samples` compares the bytes that it reads with it.
    """

    def __init__(
        self, location: Location, file: str, kind: Kind, cache: Path | None, captions: Captions = "txt"
    ) -> None:
        self.name, self._location, self._cache = file, location, cache
        self._kind, self._captions = kind, captions
        self._scan: ShardScan | None = None
        self._sha256: str | None = None

    def scan(self) -> ShardScan:
        """Hash and check the file (local), or ask the server (remote)."""
        if self._scan is None:
            digest = self._location.digest(self.name)
            self._scan = self._scan_file() if digest is None else ShardScan(digest.value, None)
            self._sha256 = self._scan.fingerprint if digest is None or digest.is_sha256 else None
        return self._scan

    def _scan_file(self) -> ShardScan:
        path = Path(self._location.path(self.name))
        if not path.is_file():
            raise DataError(f"{path} is missing: expected it because nshards.txt beside it counts it")
        return kept_scan(self._cache, f"{file_identity(path)} {self._kind} {self._captions}", self._read_through)

    def _read_through(self) -> ShardScan:
        with self._location.open(self.name) as file:
            stream = HashingReader(file)
            count = num_classes = 0
            for sample in self._read(stream):
                count += 1
                num_classes = max(num_classes, needed_classes(sample))
            return ShardScan(stream.finish(), count, num_classes=num_classes or None)

    def samples(self) -> Iterator[Sample]:
        """The samples in the order of the file."""
        with self._location.open(self.name) as file:
            stream = HashingReader(file)
            yield from self._read(stream)
            sha256 = stream.finish()
        if self._sha256 not in (None, sha256):
            path = self._location.path(self.name)
            raise DataError(f"{path} changed since it was scanned: got sha256 {sha256}, expected {self._sha256}")

    def metadata(self, entry: int) -> dict[str, int]:
        """Key -> an entry of each sample's .npy; the file is read for it once for each cache."""
        if self._cache is None:
            return self._read_metadata(entry).entries
        identity = f"{self.scan().fingerprint} {entry}"
        return memoised(self._cache / "metadata", identity, Metadata, lambda: self._read_metadata(entry)).entries

    def _read_metadata(self, entry: int) -> Metadata:
        with self._location.open(self.name) as file:
            return read_metadata(HashingReader(file), self._location.path(self.name), entry)

    def _read(self, stream: HashingReader) -> Iterator[Sample]:
        return read_samples(stream, self._location.path(self.name), self._kind, self._captions)
