"""Labels on disk: the classes of each image, found by its key, in files that all ranks of a machine map.

Rows are sorted by a digest of the key, of 8 bytes: the first two are the row's bucket, whose beginnings are in
buckets.npy, the other six are in the row, with the classes as int32. An image takes 6 + 4 l bytes of disk and of the
pages that the machine's ranks share. Two keys have the same digest with a probability of N^2 / 2^65, 0.4% for 400
million images; then both images get the labels of one of them.
"""

from __future__ import annotations

import hashlib
import shutil
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlcd_eval.errors import DataError
from mlcd_eval.support.distributed import barrier, gather_objects, rank, world_size
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_json
from mlcd_eval.support.foreign import reading
from mlcd_eval.support.npy import read_npy, write_npy
from mlcd_eval.support.progress import Progress
from mlcd_train.assignment import NONE, centres_fingerprint, nearest_centres
from mlcd_train.products import Products
from mlcd_train.sections import LabelConfig

FORMAT_VERSION = 2
BUCKETS = 1 << 16
ROWS = 1 << 22  # of a file, at most twice that
PIECE = 1 << 20  # images that are written together at first
ABOUT = "labels.json"


@dataclass(frozen=True)
class LabelsInfo:
    """images: their number, N; labels: l per image; num_classes: K; dataset, centres: fingerprints of the images' data
    set and of the cluster centres, or of the names of classes that are no clusters."""

    images: int
    labels: int
    num_classes: int
    dataset: str
    centres: str


def label_images(
    folder: Path,
    keys: Sequence[str],
    features: np.ndarray,
    dataset: str,
    centres: Tensor,
    config: LabelConfig,
    products: Products,
    progress: Progress,
) -> None:
    """Write the label files of N images with keys and features (N, D), each rank those of its part. Every rank calls
    it. dataset: the images' fingerprint; centres (K, D): unit rows on the device."""
    if rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped while writing
    barrier()
    mine = range(rank() * len(keys) // world_size(), (rank() + 1) * len(keys) // world_size())
    count, total = 0, 0.0
    nearest = config.nearest
    assert nearest is not None
    with progress.stage(f"labels, l = {nearest}", len(mine), "images") as advance:
        for begin in range(mine.start, mine.stop, PIECE):
            part = slice(begin, min(begin + PIECE, mine.stop))
            classes, cosine = nearest_centres(features[part], centres, nearest, config.threshold, products)
            write_piece(folder, begin, keys[part], classes)
            count, total = count + int((classes != NONE).sum()), total + float(cosine.sum(dtype=torch.float64))
            advance(len(classes))
    join_pieces(folder, LabelsInfo(len(keys), nearest, len(centres), dataset, centres_fingerprint(centres)))
    counts, totals = zip(*gather_objects((count, total)), strict=True)
    mean = sum(totals) / sum(counts)
    progress.say(f"assign: {sum(counts) / len(keys):.1f} labels per image, mean cosine {mean:.3f}")


def write_piece(folder: Path, first: int, keys: Sequence[str], classes: Tensor) -> None:
    """Write the classes (n, l) of n images, whose first one is number `first`; pieces come in any order, from any
    rank."""
    rows = np.empty(len(keys), [("digest", "<u8"), ("classes", "<i4", (classes.shape[1],))])
    rows["digest"], rows["classes"] = _digests(keys), classes.numpy()
    rows.sort(order="digest")
    write_npy(folder / f"piece_{first:012d}.npy", rows.shape, [rows], rows.dtype)


def join_pieces(folder: Path, info: LabelsInfo) -> None:
    """Make the label files of all pieces. Every rank calls it, when all have written theirs."""
    barrier()
    places = sorted(folder.glob("piece_*.npy"))
    pieces = [read_npy(place) for place in places]
    files, counts = _num_files(info.images), np.zeros(BUCKETS, np.int64)
    for number in range(rank(), files, world_size()):
        first, last = number << 64 - _bits(files), number + 1 << 64 - _bits(files)
        parts = [piece[_first(piece, first) : _first(piece, last)] for piece in pieces]
        rows = np.concatenate(parts)
        rows.sort(order="digest", kind="stable")
        packed = np.empty(len(rows), _row_type(info.labels))
        packed["high"], packed["low"] = rows["digest"] >> 16 & 0xFFFFFFFF, rows["digest"] & 0xFFFF
        packed["classes"] = rows["classes"]
        counts += np.bincount((rows["digest"] >> 48).astype(np.int64), minlength=BUCKETS)
        write_npy(folder / f"rows_{number:05d}.npy", packed.shape, [packed], packed.dtype)
    counts = np.sum(gather_objects(counts), axis=0)
    if rank() == 0:
        ends = np.concatenate([[0], counts.cumsum()])
        write_npy(folder / "buckets.npy", ends.shape, [ends], ends.dtype)
        write_json(folder / ABOUT, {"format_version": FORMAT_VERSION, **vars(info)})
        for place in places:
            place.unlink()


class LabelFiles:
    """The label files of a folder.

    dataset: fingerprint of the data set that they must label, None for any. Raises DataError for files that are
    missing, damaged, or of another data set.
    """

    def __init__(self, folder: Path, dataset: str | None = None) -> None:
        self.folder, self.info = folder, _read_info(folder)
        if dataset is not None and self.info.dataset != dataset:
            raise DataError(
                f"{folder} labels another dataset: got fingerprint {self.info.dataset[:12]}, expected {dataset[:12]} "
                f"(run `mlcd-train assign` again)"
            )
        with reading(f"{folder} holds no labels (run `mlcd-train assign`)"):
            starts = read_npy(folder / "buckets.npy", mapped=False)
            names = [f"rows_{number:05d}.npy" for number in range(_num_files(self.info.images))]
            rows = [read_npy(folder / name) for name in names]
        self._per_file = BUCKETS // len(rows)
        if any(file.ndim != 1 or not _is_row(file.dtype, self.info.labels) for file in rows):
            raise DataError(f"{folder} is damaged: rows of another form than 6 bytes and {self.info.labels} classes")
        sizes = [len(file) for file in rows]
        in_order = starts.shape == (BUCKETS + 1,) and starts.dtype == np.int64 and (np.diff(starts) >= 0).all()
        if not in_order or np.diff(starts[:: self._per_file]).tolist() != sizes or starts[-1] != self.info.images:
            raise DataError(f"{folder} is damaged: {sum(sizes)} rows, expected {self.info.images}, sorted in buckets")
        self._starts = starts
        self._columns = [(file["high"], file["low"], file["classes"]) for file in rows]

    def classes_of(self, keys: Sequence[str]) -> Tensor:
        """Classes (B, l) int64 of the images with these keys, the most similar first, padded with NONE.

        Raises DataError for a key that the files lack, and for classes that there cannot be.
        """
        classes = np.empty((len(keys), self.info.labels), np.int64)
        for place, digest in enumerate(_digests(keys).tolist()):
            found = self._find(digest)
            if found is None:
                raise DataError(f"{self.folder} lacks images of the training data: {keys[place]!r}")
            classes[place] = found
        if len(keys) and not NONE <= classes.min() <= classes.max() < self.info.num_classes:
            raise DataError(f"{self.folder} is damaged: classes outside 0 to {self.info.num_classes - 1}")
        return torch.from_numpy(classes)

    def counts(self) -> Tensor:
        """The number of images (K,) that have each class."""
        counts = np.zeros(self.info.num_classes, np.int64)
        for _, _, classes in self._columns:
            for begin in range(0, len(classes), PIECE):
                part = classes[begin : begin + PIECE]
                counts += np.bincount(part[part != NONE], minlength=self.info.num_classes)
        return torch.from_numpy(counts)

    def _find(self, digest: int) -> np.ndarray | None:
        bucket, high, low = digest >> 48, digest >> 16 & 0xFFFFFFFF, digest & 0xFFFF
        number = bucket // self._per_file
        highs, lows, classes = self._columns[number]
        begin, end = (self._starts[bucket : bucket + 2] - self._starts[number * self._per_file]).tolist()
        row = bisect_left(highs, high, begin, end)
        while row < end and highs[row] == high:
            if lows[row] == low:
                return classes[row]
            row += 1
        return None


def _read_info(folder: Path) -> LabelsInfo:
    try:
        about = dict(read_json(folder / ABOUT))
        version = about.pop("format_version")
        info = LabelsInfo(**about)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder} holds no labels: {error} (run `mlcd-train assign`)") from error
    numbers = (version, info.images, info.labels, info.num_classes)
    if any(type(number) is not int for number in numbers) or version != FORMAT_VERSION or min(numbers[1:]) < 1:
        raise DataError(f"{folder / ABOUT} is damaged: expected format_version {FORMAT_VERSION} and numbers above 0")
    if not isinstance(info.dataset, str) or not isinstance(info.centres, str):
        raise DataError(f"{folder / ABOUT} is damaged: expected fingerprints")
    return info


def _digests(keys: Sequence[str]) -> np.ndarray:
    hashes = (hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(hashes), ">u8").astype(np.uint64)


def _row_type(labels: int) -> np.dtype:
    return np.dtype([("high", "<u4"), ("low", "<u2"), ("classes", "<i4", (labels,))])


def _is_row(dtype: np.dtype, labels: int) -> bool:
    """Whether it is `_row_type` of that many labels, which may be too many for a type."""
    is_row = dtype.names == ("high", "low", "classes") and dtype["classes"].shape == (labels,)
    return is_row and dtype == _row_type(labels)


def _num_files(images: int) -> int:
    """A power of two, so that a file holds whole buckets."""
    return min(BUCKETS, 1 << max(0, (images // ROWS).bit_length()))


def _bits(files: int) -> int:
    return files.bit_length() - 1


def _first(piece: np.ndarray, digest: int) -> int:
    return bisect_left(piece["digest"], digest)
