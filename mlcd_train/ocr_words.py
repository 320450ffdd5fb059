"""Words that RapidOCR reads in the training images, kept in a file per shard, so that no image is read twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import DataError
from mlcd_eval.extras.rapidocr import RapidOCRReader, reader
from mlcd_eval.support.distributed import rank, world_size
from mlcd_eval.support.fileio import write_text
from mlcd_eval.support.progress import Progress
from mlcd_train.data.shards import ScannedShard
from mlcd_train.data.source import TrainSplit
from mlcd_train.label_file import KEY, LABELS, label_rows, words_of


def words_by_key(folder: Path, split: TrainSplit, progress: Progress) -> dict[str, list[str]]:
    """The words of each image of this rank's shards, in lower case and in reading order, each once. An image that
    cannot be decoded has none.

    folder: of the files, JSON lines that are label files too; those that an earlier call made of the same data with the
    same models are taken. Raises ConfigError if RapidOCR is not installed.
    """
    engine = reader()
    made_of = f"{engine.info.fingerprint} {split.scan().fingerprint}"
    place = folder / hashlib.sha256(made_of.encode()).hexdigest()[:16]
    mine = range(rank(), len(split.shards), world_size())
    words: dict[str, list[str]] = {}
    with progress.stage("reading words of images", len(mine), "shards") as advance:
        for number in mine:
            path = place / f"shard_{number:05d}.jsonl"
            if not path.is_file():
                rows = ({KEY: key, LABELS: read} for key, read in _read(split.shards[number], engine))
                write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
            words |= {row[KEY]: row[LABELS] for row in label_rows(path)}
            advance(1)
    return words


def _read(shard: ScannedShard, engine: RapidOCRReader) -> Iterator[tuple[str, list[str]]]:
    for sample in shard.samples():
        try:
            image = decode(sample.image, sample.key)
        except DataError:
            yield sample.key, []
            continue
        yield sample.key, words_of([line.text for line in engine.lines(image)])
