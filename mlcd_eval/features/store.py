"""The feature store: content-addressed, atomic, memory-mapped.

An entry is a folder named by the hash of all that determines its contents (design: weights, preprocessing, precision,
layer, tower, data, format version). While an image entry is being made it holds one file a chunk of data (`parts/`);
when all are there they become one array. `meta.json` is written last: an entry without it is unfinished. It holds the
checksums of the others, so that a damaged entry is seen and made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Features
from mlcd_eval.support.fileio import atomic_write, write_text

FORMAT_VERSION = 2

Chunk = tuple[int, int]
"""A data shard's number, and which part of it."""


@dataclass(frozen=True)
class FeatureKey:
    """What a feature array depends on. data: the split's fingerprint, or the hash of the texts."""

    weights: str
    preprocessing: str
    precision: str
    layer: str
    tower: str
    data: str
    format_version: int = FORMAT_VERSION

    @classmethod
    def of(cls, encoder: EncoderInfo, precision: str, layer: str, tower: str, data: str) -> FeatureKey:
        """The key of one encoder's features of one layer and tower over one body of data."""
        preprocessing = encoder.preprocessing if tower == "image" else ""
        return cls(encoder.fingerprint, preprocessing, precision, layer, tower, data)

    @property
    def digest(self) -> str:
        """The entry's folder name."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Part:
    """The features of one chunk of a data shard: array (n, ...) float32, and what its n rows are."""

    array: np.ndarray
    keys: list[str]
    labels: list[Any]
    texts: list[list[str]]
    bad: list[str]


class Entry:
    """One feature array on disk, finished or in the making."""

    def __init__(self, cache: Path, key: FeatureKey) -> None:
        self.key = key
        self.folder = cache / "features" / key.digest

    @property
    def complete(self) -> bool:
        """Whether the whole array is there."""
        return (self.folder / "meta.json").is_file()

    @property
    def settled(self) -> bool:
        """Whether the array is there, is what was written, and nothing of its making is left."""
        return self.complete and self._is_whole() and not (self.folder / "parts").exists()

    def tidy(self) -> None:
        """Under the entry's lock: warn of and remove an entry whose files are not those that were written and parts
        that cannot be read, and remove what killed runs have left."""
        if self.complete and not self._is_whole():
            warnings.warn(f"stored features in {self.folder} are damaged: they are made again", stacklevel=2)
            shutil.rmtree(self.folder)
        if self.complete:
            shutil.rmtree(self.folder / "parts", ignore_errors=True)
        for path in self.folder.rglob(".*.tmp"):
            path.unlink()
        for path in (self.folder / "parts").glob("*.part"):
            if not _is_whole_part(path):
                warnings.warn(f"stored features in {path} are damaged: they are made again", stacklevel=2)
                path.unlink()

    def _is_whole(self) -> bool:
        try:
            meta = json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))
            return isinstance(meta, dict) and meta.get("crc32") == self._checksums()
        except (ValueError, FileNotFoundError):  # or another run is removing it
            return False

    def _checksums(self) -> dict[str, int]:
        files = (self.folder / name for name in ("features.npy", "rows.json"))
        found = {}
        for path in files:
            if path.is_file():
                with path.open("rb") as file:
                    found[path.name] = _crc32(file)
        return found

    def part_path(self, chunk: Chunk) -> Path:
        """Where the features of a chunk stand until all are there."""
        return self.folder / "parts" / f"{chunk[0]:06d}_{chunk[1]:06d}.part"

    def write_part(self, chunk: Chunk, part: Part) -> None:
        """Keep one chunk's features; whole or not at all: a line of checksum, shape and rows, then the array."""
        rows = {"keys": part.keys, "labels": part.labels, "texts": part.texts, "bad": part.bad}
        head = json.dumps({"shape": part.array.shape, "rows": rows}).encode() + b"\n"
        data = np.ascontiguousarray(part.array, dtype="<f4").data
        with atomic_write(self.part_path(chunk)) as file:
            file.write(b"%08x %s" % (zlib.crc32(data, zlib.crc32(head)), head))
            file.write(data)

    def read_part(self, chunk: Chunk) -> Part:
        """Read back what `write_part` wrote."""
        with self.part_path(chunk).open("rb") as file:
            head = json.loads(file.readline().partition(b" ")[2])
            return Part(np.fromfile(file, dtype="<f4").reshape(head["shape"]), **head["rows"])

    def join_parts(self, chunks: Sequence[Chunk]) -> None:
        """Make the entry of its parts, in the order of (shard, chunk) given, and drop them."""
        rows: dict[str, list[Any]] = {"keys": [], "labels": [], "texts": [], "bad": []}
        shapes = []
        for chunk in chunks:
            part = self.read_part(chunk)
            shapes.append(part.array.shape)
            for name, values in rows.items():
                values.extend(getattr(part, name))
        row_shape = next((shape[1:] for shape in shapes if shape[0]), (0,))
        self._write_features((len(rows["keys"]), *row_shape), (self.read_part(chunk).array for chunk in chunks))
        write_text(self.folder / "rows.json", json.dumps(rows))
        self._finish()
        shutil.rmtree(self.folder / "parts")

    def write_array(self, array: np.ndarray) -> None:
        """Make a text entry, which has no rows of its own."""
        self._write_features(array.shape, [array])
        self._finish()

    def _write_features(self, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
        with atomic_write(self.folder / "features.npy") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(file, header)
            for piece in pieces:
                file.write(np.ascontiguousarray(piece, dtype="<f4").data)

    def _finish(self) -> None:
        meta = {**asdict(self.key), "crc32": self._checksums()}
        write_text(self.folder / "meta.json", json.dumps(meta, indent=2) + "\n")

    def array(self) -> np.ndarray:
        """The array, memory-mapped read-only (an empty array cannot be mapped and is read)."""
        return np.load(self.folder / "features.npy", mmap_mode="r", allow_pickle=False)

    def features(self) -> Features:
        """The image entry with its rows."""
        rows = json.loads((self.folder / "rows.json").read_text(encoding="utf-8"))
        labels = None if None in rows["labels"] else np.asarray(rows["labels"], dtype=np.int64)
        return Features(
            array=self.array(),
            keys=rows["keys"],
            labels=labels,
            texts=[tuple(captions) for captions in rows["texts"]],
            bad=rows["bad"],
        )


def _crc32(file: IO[bytes], checksum: int = 0) -> int:
    """Of what is left of the file, behind what has the checksum given."""
    while block := file.read(1 << 22):
        checksum = zlib.crc32(block, checksum)
    return checksum


def _is_whole_part(path: Path) -> bool:
    """Whether its checksum holds."""
    with path.open("rb") as file:
        checksum, _, head = file.readline().partition(b" ")
        return checksum == b"%08x" % _crc32(file, zlib.crc32(head))


def entry_lock(cache: Path, key: FeatureKey) -> FileLock:
    """The lock under which a model's features of one body of data are made, so that two runs do not encode twice."""
    folder = cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{key.weights} {key.tower} {key.data}".encode()).hexdigest()
    return FileLock(folder / f"{name[:32]}.lock")


@contextlib.contextmanager
def in_use(cache: Path) -> Iterator[None]:
    """Raise DataError where a file of the cache goes while the block works with it."""
    try:
        yield
    except FileNotFoundError as error:
        if error.filename is None or cache not in Path(error.filename).parents:
            raise
        raise DataError(
            f"{error.filename} went away: expected the cache to stay while a run uses it (the same command makes it "
            f"again)"
        ) from error
