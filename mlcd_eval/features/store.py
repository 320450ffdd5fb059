"""The feature store: content-addressed, atomic, memory-mapped.

An entry is a folder named by the hash of everything that determines its contents: weights, preprocessing, precision,
layer, tower, data and format version. An unfinished image entry holds one file per chunk of data, in `parts/`; when all
chunks are done, they are joined into one array. `meta.json` is written last, so that an entry without it is unfinished.
It holds the checksums of the other files, so that a damaged entry is detected and computed again.
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
from pydantic import ValidationError

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.encoders.layers import is_inside
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Features
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import atomic_write, write_json, write_text
from mlcd_eval.support.npy import write_npy

FORMAT_VERSION = 2

Chunk = tuple[int, int]
"""The number of a data shard, and the number of a part of it."""


def bytes_per_number(layer: str) -> int:
    """Return 2 (fp16) for a layer inside a tower, of which there are many, 4 (fp32) for one at its output."""
    return 2 if is_inside(layer) else 4


@dataclass(frozen=True)
class FeatureKey:
    """Everything that a feature array depends on. data: the split's fingerprint, or the hash of the texts."""

    weights: str
    preprocessing: str
    precision: str
    layer: str
    tower: str
    data: str
    format_version: int = FORMAT_VERSION

    @classmethod
    def of(cls, encoder: EncoderInfo, precision: str, layer: str, tower: str, data: str) -> FeatureKey:
        """Return the key of an encoder's features at one layer of one tower, on one split or list of texts."""
        preprocessing = encoder.preprocessing if tower == "image" else ""
        return cls(encoder.fingerprint, preprocessing, precision, layer, tower, data)

    @property
    def digest(self) -> str:
        """The entry's folder name."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Part:
    """The features of one chunk of a data shard.

    array (n, ...), of the dtype that the entry keeps; keys, labels, texts: of its n rows; bad: keys of images that
    could not be decoded.
    """

    array: np.ndarray
    keys: list[str]
    labels: list[Any]
    texts: list[list[str]]
    bad: list[str]


class Entry:
    """One feature array on disk, finished or not."""

    def __init__(self, cache: Path, key: FeatureKey) -> None:
        self.key = key
        self.folder = cache / "features" / key.digest

    @property
    def dtype(self) -> str:
        """Of the array, in numpy's words."""
        return "<f2" if bytes_per_number(self.key.layer) == 2 else "<f4"

    @property
    def complete(self) -> bool:
        """Whether the entry is finished."""
        return (self.folder / "meta.json").is_file()

    @property
    def settled(self) -> bool:
        """Whether the entry is finished and undamaged, and its parts are gone."""
        return self.complete and self._is_intact() and not (self.folder / "parts").exists()

    def tidy(self) -> None:
        """Remove a damaged entry and damaged parts, with a warning, and the leftovers of killed runs.

        The caller must hold the entry's lock.
        """
        if self.complete and not self._is_intact():
            warnings.warn(f"stored features in {self.folder} are damaged: they are computed again", stacklevel=2)
            shutil.rmtree(self.folder)
        if self.complete:
            shutil.rmtree(self.folder / "parts", ignore_errors=True)
        for path in self.folder.rglob(".*.tmp"):
            path.unlink()
        for path in (*(self.folder / "parts").glob("*.part"), *(self.folder / "parts").glob("*.piece")):
            if not _is_intact_part(path):
                warnings.warn(f"stored features in {path} are damaged: they are computed again", stacklevel=2)
                path.unlink()

    def _is_intact(self) -> bool:
        try:
            meta = read_json(self.folder / "meta.json")
            return isinstance(meta, dict) and meta.get("crc32") == self._checksums()
        except (ValueError, FileNotFoundError):  # or another run is removing it
            return False

    def _checksums(self) -> dict[str, int]:
        checksums = {}
        for path in (self.folder / name for name in ("features.npy", "rows.json")):
            if path.is_file():
                with path.open("rb") as file:
                    checksums[path.name] = _crc32(file)
        return checksums

    def part_path(self, chunk: Chunk) -> Path:
        """Return the path of a chunk's features, until all chunks are joined."""
        return self.folder / "parts" / f"{chunk[0]:06d}_{chunk[1]:06d}.part"

    def write_part(self, chunk: Chunk, part: Part) -> None:
        """Write one chunk's features."""
        write_part(self.part_path(chunk), part)

    def read_part(self, chunk: Chunk) -> Part:
        """Read what `write_part` wrote."""
        return read_part(self.part_path(chunk))

    def join_parts(self, chunks: Sequence[Chunk]) -> None:
        """Join the parts into the finished entry, in the order of the given chunks, and remove them."""
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
        """Write a text entry, which has no rows.json."""
        self._write_features(array.shape, [array])
        self._finish()

    def _write_features(self, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
        write_npy(self.folder / "features.npy", shape, pieces, self.dtype)

    def _finish(self) -> None:
        meta = {**asdict(self.key), "crc32": self._checksums()}
        write_json(self.folder / "meta.json", meta)

    def note_efficiency(self, efficiency: Efficiency) -> None:
        """Keep what the features cost beside them."""
        write_text(self.folder / "efficiency.json", efficiency.model_dump_json(indent=2) + "\n")

    def efficiency(self) -> Efficiency | None:
        """Return what the features cost, None if it is not known."""
        try:
            return Efficiency.model_validate_json((self.folder / "efficiency.json").read_bytes())
        except (FileNotFoundError, ValidationError):  # of another version of this package
            return None

    def array(self) -> np.ndarray:
        """Return the array, memory-mapped read-only (an empty array cannot be mapped and is read)."""
        with _unchanged(self.folder / "features.npy") as path:
            return np.load(path, mmap_mode="r", allow_pickle=False)

    def features(self) -> Features:
        """Return the array of an image entry with its keys, labels and texts."""
        array = self.array()
        with _unchanged(self.folder / "rows.json") as path:
            rows = json.loads(path.read_text(encoding="utf-8"))
            labels = None if None in rows["labels"] else np.asarray(rows["labels"], dtype=np.int64)
            texts = [tuple(captions) for captions in rows["texts"]]
            return Features(array=array, keys=rows["keys"], labels=labels, texts=texts, bad=rows["bad"])


def write_part(path: Path, part: Part) -> None:
    """Write features atomically: a line of checksum, shape and rows, then the array."""
    rows = {"keys": part.keys, "labels": part.labels, "texts": part.texts, "bad": part.bad}
    about = {"shape": part.array.shape, "dtype": part.array.dtype.str, "rows": rows}
    head = json.dumps(about).encode() + b"\n"
    data = np.ascontiguousarray(part.array).data
    with atomic_write(path) as file:
        file.write(b"%08x %s" % (zlib.crc32(data, zlib.crc32(head)), head))
        file.write(data)


def read_part(path: Path) -> Part:
    """Read what `write_part` wrote."""
    with _unchanged(path), path.open("rb") as file:
        head = json.loads(file.readline().partition(b" ")[2])
        array = np.fromfile(file, dtype=head.get("dtype", "<f4"))  # absent in parts of earlier versions
        return Part(array.reshape(head["shape"]), **head["rows"])


@contextlib.contextmanager
def _unchanged(path: Path) -> Iterator[Path]:
    """Raise DataError if the block cannot read the file, which was intact when the run looked at its checksum."""
    try:
        yield path
    except (ValueError, EOFError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} changed while it was in use ({error}): expected the cache to be left alone while a run uses it "
            f"(run the same command again, which computes it anew)"
        ) from error


def _crc32(file: IO[bytes], checksum: int = 0) -> int:
    """Return the checksum of the rest of the file, continuing from `checksum`."""
    while block := file.read(1 << 22):
        checksum = zlib.crc32(block, checksum)
    return checksum


def _is_intact_part(path: Path) -> bool:
    with path.open("rb") as file:
        checksum, _, head = file.readline().partition(b" ")
        return checksum == b"%08x" % _crc32(file, zlib.crc32(head))


def entry_lock(cache: Path, key: FeatureKey) -> FileLock:
    """Return the lock for computing a model's features of one split or list of texts, so that two runs do not both
    encode it."""
    folder = cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{key.weights} {key.tower} {key.data}".encode()).hexdigest()
    return FileLock(folder / f"{name[:32]}.lock")


@contextlib.contextmanager
def in_use(cache: Path) -> Iterator[None]:
    """Raise DataError if a file of the cache disappears while the block uses it."""
    try:
        yield
    except FileNotFoundError as error:
        if error.filename is None or cache not in Path(error.filename).parents:
            raise
        raise DataError(
            f"{error.filename} disappeared: expected the cache to stay while a run uses it (run the same command again "
            f"to resume)"
        ) from error
