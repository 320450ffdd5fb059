"""Training data from its references: opened, scanned once by all ranks together, and counted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mlcd_eval.data.base import Split
from mlcd_eval.data.open import open_dataset, parse_reference
from mlcd_eval.data.sources.table import TableSource
from mlcd_eval.data.sources.tars import split_path
from mlcd_eval.data.sources.wds import WebDataset
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError
from mlcd_eval.support.distributed import on_every_rank, rank, world_size
from mlcd_eval.support.progress import Progress
from mlcd_train.data.commands import PIPE
from mlcd_train.data.shard_cache import ShardCache
from mlcd_train.data.shards import ScannedShard, SequentialShard, TrainScan, TrainShard
from mlcd_train.data.storage import tar_files
from mlcd_train.data.tables import table_shards
from mlcd_train.data.tars import Captions, TrainTar
from mlcd_train.sections import DataConfig

AT_ONCE = 8  # tar files that a rank scans at a time
LOOKED_AT = 100  # samples that are looked at for captions
GIB = 1 << 30


@dataclass(frozen=True)
class TrainSplit(Split):
    """The training data. captions: whether something in the run reads them, so that a sample without one is bad."""

    shards: Sequence[ScannedShard]
    captions: bool = False

    @property
    def size(self) -> int:
        """The number of samples."""
        size = self.scan().num_samples
        assert size is not None, "training data is counted when it is opened"
        return size

    @property
    def without_caption(self) -> int:
        """How many samples are known to have no caption."""
        return sum(shard.result.without_caption or 0 for shard in self.shards)


def open_training_data(
    config: DataConfig, cache: Path | None, captions: bool, progress: Progress | None = None
) -> TrainSplit:
    """Open and scan the data of `data.train`. Every rank must call this; each scans its part of the shards.

    cache: the folder of scans and of copies of remote shards. Raises ConfigError for a reference that is not well
    formed, DataError for the data behind it.
    """
    refs = (config.train,) if isinstance(config.train, str) else config.train
    numbered = [
        (f"{number}/" if len(refs) > 1 else "", shard)
        for number, ref in enumerate(refs)
        for shard in _shards(ref, config, cache)
    ]
    scans = _scans([shard for _, shard in numbered], progress or Progress())
    pairs = zip(numbered, scans, strict=True)
    shards = [ScannedShard(shard, scan, captions, prefix) for (prefix, shard), scan in pairs if scan.num_samples]
    for shard in shards:
        shard.shard.scanned(shard.result)
    split = TrainSplit(_name(refs), config.split or "train", shards, captions)
    split.scan()  # raises DataError for no samples
    return split


def _name(refs: Sequence[str]) -> str:
    names = [parse_reference(ref) for ref in refs]
    return "+".join(name.scheme.code.default_name(name.address) for name in names)


def _shards(ref: str, config: DataConfig, cache: Path | None) -> list[TrainShard]:
    if ref.startswith(PIPE):
        raise ConfigError(f"data.train: got {ref!r}, expected tars:{ref}")
    reference = parse_reference(ref)
    options, name = reference.options, reference.scheme.name
    if name == "tars":
        given = options.get("captions")
        captions: Captions | None = given if given in ("txt", "json", "none") else None  # type: ignore[assignment]
        return _tars(tar_files(reference.address), captions, config, cache)
    dataset = open_dataset(ref, cache=cache) if name != "csv" and name != "parquet" else None
    if dataset is None:
        source = reference.scheme.code
        assert isinstance(source, TableSource)
        return table_shards(source, reference.address, options, config.split, cache)
    split = dataset.split(_split_name(ref, dataset.splits, config.split))
    if isinstance(dataset, WebDataset):
        root = reference.address.rstrip("/")
        return _tars([split_path(f"{root}/{shard.name}") for shard in split.shards], None, config, cache)
    return [SequentialShard(shard) for shard in split.shards]


def _split_name(ref: str, splits: Sequence[str], wanted: str | None) -> str:
    """The split to train on: the one asked for, else train, else the only one."""
    if wanted is not None or "train" in splits:
        return wanted or "train"
    if len(splits) == 1:
        return splits[0]
    raise ConfigError(f"data.split: {ref} has no split train: expected one of {', '.join(splits)}")


def _tars(
    files: Sequence[tuple[str, str]], captions: Captions | None, config: DataConfig, cache: Path | None
) -> list[TrainShard]:
    is_remote = any(folder == PIPE or "://" in folder for folder, _ in files)
    if is_remote and cache is None:
        raise ConfigError("cache: remote tar files are read through copies, expected a folder for them")
    copies = ShardCache((cache or Path()) / "shards", int(config.shard_cache * GIB))
    return [TrainTar(folder, name, captions, cache, copies) for folder, name in files]


def _scans(shards: Sequence[TrainShard], progress: Progress) -> list[TrainScan]:
    """Each shard's scan, made by one rank."""
    mine = range(rank(), len(shards), world_size())
    at_once = AT_ONCE if all(isinstance(shard, TrainTar) for shard in shards) else 1

    def scan() -> dict[int, TrainScan]:
        title = "scanning the training data"
        with progress.stage(title, len(mine), "shards", lasting=False) as advance, ThreadPoolExecutor(at_once) as pool:
            results = {}
            for number, result in zip(mine, pool.map(lambda n: shards[n].scan(), mine), strict=True):
                results[number] = result
                advance(1)
            return results

    merged = {number: result for part in on_every_rank(scan) for number, result in part.items()}
    return [merged[number] for number in range(len(shards))]


def check_captions(split: TrainSplit, why: str) -> None:
    """Raise IncompatibleError where none of the first samples has a caption."""
    samples = (sample for shard in split.shards for sample in shard.shard.samples())
    if not any(sample.texts for sample in islice(samples, LOOKED_AT)):
        raise IncompatibleError(
            f"{why} needs captions: got {split.dataset}, whose first samples have none, expected a .txt, or a .json "
            f"with the key caption, beside every image (or a column of captions)"
        )


def check_tolerance(split: TrainSplit, config: DataConfig) -> None:
    """Raise DataError where more samples than are tolerated are known to have no caption, and something reads them."""
    missing = split.without_caption
    if split.captions and missing > config.allow_bad * split.size:
        raise DataError(
            f"training data {split.dataset}: got {missing:,} of {split.size:,} samples without a caption, expected at "
            f"most a share of {config.allow_bad:g} (data.allow_bad)"
        )


def check_shard_cache(split: TrainSplit, config: DataConfig) -> None:
    """Raise ConfigError where the disk has no room for the copies of remote shards."""
    remote = next((s.shard for s in split.shards if isinstance(s.shard, TrainTar) and "://" in s.shard.folder), None)
    if remote is None:
        return
    folder = remote.cache.folder
    folder.mkdir(parents=True, exist_ok=True)
    copies = sum(path.stat().st_size for path in folder.glob("*.tar"))
    free = shutil.disk_usage(folder).free + copies
    if free < remote.cache.limit:
        raise ConfigError(
            f"data.shard_cache: got {config.shard_cache:g} GiB, expected at most the {free / GIB:.1f} GiB that "
            f"{folder} has left"
        )
