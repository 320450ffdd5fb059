"""Labels that do not come from clusters: those of a file, words or tokens of captions, or words in the images.

A vocabulary gives each name its class; labels whose names it lacks are left out. Labels that are all whole numbers are
classes themselves.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, islice
from pathlib import Path

import torch

from mlcd_eval.data.base import Sample
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.distributed import barrier, gather_objects, rank, world_size
from mlcd_eval.support.fileio import write_text
from mlcd_eval.support.progress import Progress
from mlcd_train.assignment import NONE
from mlcd_train.data.source import TrainSplit
from mlcd_train.label_file import read_label_file, words_of
from mlcd_train.labels import PIECE, LabelsInfo, join_pieces, write_piece
from mlcd_train.ocr_words import words_by_key
from mlcd_train.sections import LabelConfig

MOST = 128  # labels of an image
MOST_CLASSES = 1 << 31  # label files hold int32
VOCABULARY = "vocabulary.json"

Names = Callable[[Sample], Iterable[str]]
"""A sample -> the names of its labels."""


def label_by_names(folder: Path, split: TrainSplit, config: LabelConfig, progress: Progress) -> None:
    """Write the label files of a split. Every rank calls it, and reads its part of the shards, twice.

    Raises DataError where no image has a label, or all have the same one.
    """
    if rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped while writing
    barrier()
    given: Mapping[str, Sequence[str]] | None = None
    if config.labels == "ocr":
        given = words_by_key(folder.with_name(f"{folder.name}_ocr"), split, progress)
    elif isinstance(config.labels, Path):
        given = read_label_file(config.labels)
    names_of = _names_of(config.labels, given)
    counts, images, labelled, known, most = Counter[str](), Counter[int](), 0, 0, 0
    for number, sample in _samples(split, progress, "reading labels"):
        names = list(names_of(sample))[:MOST]
        counts.update(names)
        images[number] += 1
        labelled, most = labelled + bool(names), max(most, len(names))
        known += given is not None and sample.key in given
    parts = gather_objects((counts, images, labelled, known, most))
    counts = sum((part[0] for part in parts), Counter[str]())
    images = sum((part[1] for part in parts), Counter[int]())
    labelled, known = (sum(part[place] for part in parts) for place in (2, 3))
    if given is not None and config.labels != "ocr":
        _say_unknown(config.labels, given, known, split, progress)
    if not labelled:
        raise DataError(f"assign.labels: {config.labels} has no label of an image of {split.dataset}")
    classes = _classes(counts, config)
    num_classes = max(classes.values()) + 1
    if num_classes < 2:
        raise DataError(f"assign.labels: {config.labels} has a single class, expected at least 2")
    width = max(part[4] for part in parts)
    begins = list(accumulate((images[number] for number in range(len(split.shards))), initial=0))
    own = (
        (number, sample.key, [classes[name] for name in list(names_of(sample))[:MOST] if name in classes])
        for number, sample in _samples(split, progress, "writing labels")
    )
    _write(folder, own, begins, width)
    if rank() == 0:
        ordered = sorted(classes, key=classes.__getitem__)
        about = {"names": ordered, "images": [counts[name] for name in ordered]}
        write_text(folder / VOCABULARY, json.dumps(about) + "\n")
    identity = hashlib.sha256(json.dumps(sorted(classes.items())).encode()).hexdigest()
    join_pieces(folder, LabelsInfo(images.total(), width, num_classes, split.scan().fingerprint, identity))
    mean = sum(counts[name] for name in classes) / images.total()
    progress.say(
        f"assign: {mean:.1f} labels per image of {num_classes:,} classes; {images.total() - labelled:,} of "
        f"{images.total():,} images have none"
    )


def _names_of(labels: int | str | Path, given: Mapping[str, Sequence[str]] | None) -> Names:
    if given is not None:
        return lambda sample: given.get(sample.key, ())
    if labels == "words":
        return lambda sample: words_of(sample.texts)
    import open_clip  # here, since its import takes longer than PyTorch's

    tokens = open_clip.SimpleTokenizer()
    return lambda sample: dict.fromkeys(tokens.decoder[token] for text in sample.texts for token in tokens.encode(text))


def _say_unknown(
    source: object, given: Mapping[str, Sequence[str]], known: int, split: TrainSplit, progress: Progress
) -> None:
    """Report keys that no image has; raise DataError where none is an image's."""
    if not known:
        key, image = next(iter(given)), next(iter(split.shards[0].samples())).key
        raise DataError(
            f"{source}: none of its {len(given):,} keys is of an image of {split.dataset}: got keys such as {key!r}, "
            f"expected ones such as {image!r}"
        )
    if unknown := len(given) - known:
        share = unknown / len(given)
        progress.say(f"assign: {unknown:,} of {len(given):,} keys of {source} ({share:.1%}) are of no training image")


def _classes(counts: Mapping[str, int], config: LabelConfig) -> dict[str, int]:
    """Name -> class: the number that it is, if all are numbers, else by falling frequency, then by name."""
    if isinstance(config.labels, Path) and all(name.isdecimal() for name in counts):
        if config.vocabulary is not None:
            raise ConfigError(
                f"assign.vocabulary: got {config.vocabulary}, expected none, since all labels of {config.labels} are "
                "numbers, which are classes themselves"
            )
        if (largest := max(map(int, counts))) >= MOST_CLASSES:
            raise DataError(f"{config.labels}: got the label {largest}, expected numbers below {MOST_CLASSES}")
        return {name: int(name) for name in counts}
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: place for place, name in enumerate(ordered[: config.vocabulary])}


def _samples(split: TrainSplit, progress: Progress, title: str) -> Iterator[tuple[int, Sample]]:
    """This rank's samples, with the number of their shard."""
    mine = range(rank(), len(split.shards), world_size())
    with progress.stage(title, len(mine), "shards", lasting=False) as advance:
        for number in mine:
            for sample in split.shards[number].samples():
                yield number, sample
            advance(1)


def _write(folder: Path, own: Iterator[tuple[int, str, Sequence[int]]], begins: Sequence[int], width: int) -> None:
    """Write the pieces of this rank's images: the number of a shard, a key and classes each. begins: of each shard, the
    number of its first image."""
    for number, images in groupby(own, key=lambda image: image[0]):
        first = begins[number]
        while rows := list(islice(images, PIECE)):
            padded = [[*labels, *[NONE] * (width - len(labels))] for _, _, labels in rows]
            write_piece(folder, first, [key for _, key, _ in rows], torch.tensor(padded, dtype=torch.int64))
            first += len(rows)
