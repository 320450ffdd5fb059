"""Encode each image once: one pass over a split computes every layer that the store lacks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from mlcd_eval.data.base import Sample, Split
from mlcd_eval.encoders.base import POOLED, PROJECTED, Encoder
from mlcd_eval.encoders.stages import stages
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.features.decode import Batch, Samples, batches
from mlcd_eval.features.decoders import JpegsOnGpu
from mlcd_eval.features.forward import Forward, Queued
from mlcd_eval.features.measuring import RankPass, cost_of_first, efficiency
from mlcd_eval.features.overlap import Overlap
from mlcd_eval.features.pace import Pace
from mlcd_eval.features.pieces import Pieces
from mlcd_eval.features.store import Chunk, Entry, FeatureKey, Part, entry_lock, in_use
from mlcd_eval.protocols.base import Features
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.support.distributed import broadcast_object, on_every_rank, rank, world_size
from mlcd_eval.support.peak_memory import PeakMemory
from mlcd_eval.support.progress import Advance

CHUNK = 1024  # samples of a shard that are stored together during a pass

ImageEncoding = Callable[[Encoder, Split, Sequence[str], "EncodeOptions", Advance], "Encoded"]
"""(encoder, split, layers, options, advance) -> features, as `encode_split`."""

TextEncoding = Callable[[Encoder, Sequence[str], "EncodeOptions", Advance], np.ndarray]
"""(encoder, texts, options, advance) -> (T, D) float32, as `encode_texts`."""

_Done = tuple[Samples, dict[str, str], dict[str, np.ndarray]]
"""A batch's samples, those of them that are bad, and its features by layer."""


@dataclass(frozen=True)
class EncodeOptions:
    """How to encode. Only `precision` and `limit` change features beyond rounding.

    batch_size: None means the device's default; it is halved when memory runs out. limit: at most this many samples
    per split, evenly spaced if its size is known, else the first of each shard. tolerance_setting: what users call
    allow_bad_images.
    """

    cache: Path
    precision: str = "fp32"
    batch_size: int | None = None
    workers: int = 0
    limit: int | None = None
    allow_bad_images: int = 0
    tolerance_setting: str = "--allow-bad-images"


@dataclass(frozen=True)
class Encoded:
    """Features by layer, with the images encoded and seconds spent: 0 if the store had all of them. efficiency: by
    layer, of the pass that made the features; without those of which nothing is known."""

    features: dict[str, Features]
    images_encoded: int
    seconds: float
    efficiency: Mapping[str, Efficiency] = field(default_factory=dict)


def encode_split(
    encoder: Encoder, split: Split, layers: Sequence[str], options: EncodeOptions, advance: Advance = lambda _: None
) -> Encoded:
    """Return the features of a split at the given layers, from the store or by one pass over what it lacks.

    Each chunk of a data shard is stored as soon as it is done, and pieces of it twice a minute, so that an interrupted
    pass resumes there, with any number of ranks; ranks take chunks in turn. Every rank must call this.
    Raises DataError, naming the images, if more than `allow_bad_images` cannot be decoded.
    """
    entries = entries_of(encoder, split, layers, options)
    images_encoded, started = 0, time.perf_counter()
    with in_use(options.cache):
        if not broadcast_object(rank() == 0 and all(entry.settled for entry in entries.values())):
            with entry_lock(options.cache, entries[layers[0]].key) if rank() == 0 else contextlib.nullcontext():
                kept = entries | entries_of(encoder, split, _pooled_beside(encoder, layers), options)
                if rank() == 0:
                    for entry in kept.values():
                        entry.tidy()
                missing = broadcast_object([layer for layer, entry in kept.items() if not entry.complete])
                if entries.keys() & set(missing):
                    todo = {layer: kept[layer] for layer in missing}
                    images_encoded = _encode_missing(encoder, split, todo, options, advance)
        features = {layer: entry.features() for layer, entry in entries.items()}
        costs = {layer: cost for layer, entry in entries.items() if (cost := entry.efficiency()) is not None}
    _check_bad(split, {key: f"image {key!r}" for key in features[layers[0]].bad}, options)
    return Encoded(features, images_encoded, time.perf_counter() - started if images_encoded else 0.0, costs)


def _pooled_beside(encoder: Encoder, layers: Sequence[str]) -> list[str]:
    """Return the other pooled layers that a model has. They are small, so that a pass over images keeps them too, and
    another task on the same images needs no pass of its own."""
    return [layer for layer in POOLED if layer in encoder.info.layers and layer not in layers]


def entries_of(encoder: Encoder, split: Split, layers: Sequence[str], options: EncodeOptions) -> dict[str, Entry]:
    """Return the place of a split's features at each layer in the store."""
    data = split.scan().fingerprint
    if options.limit is not None:
        data = hashlib.sha256(f"{data} limit {options.limit}".encode()).hexdigest()
    keys = {layer: FeatureKey.of(encoder.info, options.precision, layer, "image", data) for layer in layers}
    return {layer: Entry(options.cache, key) for layer, key in keys.items()}


def _encode_missing(
    encoder: Encoder, split: Split, entries: dict[str, Entry], options: EncodeOptions, advance: Advance
) -> int:
    """Compute and join the entries' parts. Return the number of images encoded on all ranks."""
    chunks = _chunks(split)
    todo = {
        chunk: [layer for layer, entry in entries.items() if not entry.part_path(chunk).is_file()] for chunk in chunks
    }
    of_rank = {
        chunk: todo[chunk] for number, chunk in enumerate(chunks) if number % world_size() == rank() and todo[chunk]
    }
    passes = on_every_rank(lambda: _encode_chunks(encoder, split, of_rank, entries, options, advance))
    encoded = sum(of_rank.encoded for of_rank in passes)

    def join() -> None:
        cost = efficiency(encoder, list(entries), options.precision, options.workers, passes) if encoded else None
        for entry in entries.values() if rank() == 0 else ():
            if cost is not None:
                entry.note_efficiency(cost)
            entry.join_parts(chunks)

    on_every_rank(join)
    return encoded


def _encode_chunks(
    encoder: Encoder,
    split: Split,
    todo: Mapping[Chunk, Sequence[str]],
    entries: Mapping[str, Entry],
    options: EncodeOptions,
    advance: Advance,
) -> RankPass:
    """Encode and store the layers that each chunk of `todo` lacks. Return what that took."""
    prepared = stages(encoder)
    forward, overlap = Forward(encoder, options.precision, options.batch_size, prepared), Overlap[Batch](encoder)
    pace, memory = Pace(overlap.at_once), PeakMemory(encoder.device)
    pieces = Pieces(entries, todo)
    samples = pieces.rest(_selected(split, todo, options.limit))
    on_cuda = encoder.device.type == "cuda"
    jpegs = encoder.on_device() if isinstance(encoder, JpegsOnGpu) else None
    stream = batches(samples, prepared, forward.slices.batch_size, options.workers, overlap.held, on_cuda, jpegs)
    cost, stream = cost_of_first(encoder, forward, stream, list(entries), options.cache)
    bad: dict[str, str] = {}
    encoded, unfinished = 0, set(todo)  # at the end those of which no sample is left, or selected by `limit`

    def call(batch: Batch) -> Queued:
        return forward.images(batch.pixels, todo[batch.chunk])

    done: list[_Done] = []  # the batches of the current chunk
    for batch, arrays in overlap(call, stream):
        bad |= batch.bad
        _check_bad(split, bad, options)
        done.append((batch.samples, batch.bad, arrays))  # without the pixels, whose memory is used again
        advance(len(batch.samples))
        pace.done(len(batch.samples))
        if batch.last or pieces.due:
            store = pieces.finish if batch.last else pieces.add
            store(batch.chunk, {layer: _part(done, layer, entries[layer].dtype) for layer in todo[batch.chunk]})
            encoded += sum(len(samples) - len(in_batch) for samples, in_batch, _ in done)
            done = []
        if batch.last:
            unfinished.discard(batch.chunk)
    for chunk in unfinished:
        pieces.finish(chunk, {layer: _part([], layer, entries[layer].dtype) for layer in todo[chunk]})
    batch_size = forward.slices.batch_size
    return RankPass(encoded, pace.images, pace.images_per_s, cost, memory.in_bytes(), batch_size)


def _chunks(split: Split) -> list[Chunk]:
    """Return (shard, chunk) pairs in the order of the samples; a shard of unknown size is one chunk."""
    sizes = [scan.num_samples for scan in split.scans]
    return [
        (shard, chunk)
        for shard, size in enumerate(sizes)
        for chunk in range(1 if size is None else max(1, -(-size // CHUNK)))
    ]


def _part(done: list[_Done], layer: str, dtype: str) -> Part:
    pieces = [_as(arrays[layer], layer, dtype) for _, _, arrays in done if arrays]
    array = np.concatenate(pieces) if pieces else np.empty((0, 0), dtype=dtype)
    good = [
        row
        for samples, bad, _ in done
        for row in zip(samples.keys, samples.labels, samples.texts, strict=True)
        if row[0] not in bad
    ]
    assert len(array) == len(good), "one feature row per sample"
    return Part(
        array=array,
        keys=[key for key, _, _ in good],
        labels=[label for _, label, _ in good],
        texts=[texts for _, _, texts in good],
        bad=[key for _, bad, _ in done for key in bad],
    )


def _as(array: np.ndarray, layer: str, dtype: str) -> np.ndarray:
    """Return an array as the store keeps it. Raises IncompatibleError for a number that is too large for fp16."""
    with np.errstate(over="ignore"):
        kept = array.astype(dtype, copy=False)
    if dtype == "<f2" and np.isinf(kept).any():
        raise IncompatibleError(
            f"layer {layer!r} is kept in fp16: got a feature of {np.abs(array).max():.3g}, expected at most 65,504"
        )
    return kept


def _selected(split: Split, wanted: Container[Chunk], limit: int | None) -> Iterator[tuple[Chunk, Sample]]:
    """Yield (chunk, sample) pairs of the wanted chunks. Which samples `limit` selects does not depend on `wanted`."""
    sizes = [scan.num_samples for scan in split.scans]
    known = [size for size in sizes if size is not None]
    starts = np.cumsum([0, *known])
    for shard, size in enumerate(sizes):
        if not any((shard, chunk) in wanted for chunk in range(1 if size is None else max(1, -(-size // CHUNK)))):
            continue
        samples = enumerate(split.shards[shard].samples())
        if limit is None or (len(known) == len(sizes) and starts[-1] <= limit):
            chosen: Iterator[tuple[int, Sample]] = samples
        elif len(known) == len(sizes):
            positions = {number * int(starts[-1]) // limit - int(starts[shard]) for number in range(limit)}
            chosen = (pair for pair in samples if pair[0] in positions)
        else:
            chosen = islice(samples, limit // len(sizes) + (shard < limit % len(sizes)))
        for position, sample in chosen:
            chunk = (shard, 0 if size is None else position // CHUNK)
            if chunk in wanted:
                yield chunk, sample


def _check_bad(split: Split, bad: dict[str, str], options: EncodeOptions) -> None:
    if len(bad) > options.allow_bad_images:
        raise DataError(
            f"split {split.name!r} of {split.dataset}: got {len(bad)} images that cannot be decoded, expected at most "
            f"{options.allow_bad_images} ({options.tolerance_setting}): {'; '.join(list(bad.values())[:5])}"
        )


def encode_texts(
    encoder: Encoder, texts: Sequence[str], options: EncodeOptions, advance: Advance = lambda _: None
) -> np.ndarray:
    """Return texts as (T, D) float32 in the joint space, from the store or encoded now, each distinct text once."""
    unique = list(dict.fromkeys(texts))
    data = hashlib.sha256(json.dumps(unique).encode()).hexdigest()
    entry = Entry(options.cache, FeatureKey.of(encoder.info, options.precision, PROJECTED, "text", data))
    row = {text: index for index, text in enumerate(unique)}
    with in_use(options.cache):
        if not entry.settled:
            with entry_lock(options.cache, entry.key):
                entry.tidy()
                if not entry.complete:
                    entry.write_array(Forward(encoder, options.precision, options.batch_size).texts(unique, advance))
        return entry.array()[[row[text] for text in texts]]


class EachTextOnce:
    """`encode_texts` for many overlapping lists: a text that an earlier list had is not encoded again."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], np.ndarray] = {}

    def __call__(
        self, encoder: Encoder, texts: Sequence[str], options: EncodeOptions, advance: Advance = lambda _: None
    ) -> np.ndarray:
        """Return texts as (T, D) float32; only the new ones are taken from the store or encoded."""
        model = encoder.info.fingerprint
        new = [text for text in dict.fromkeys(texts) if (model, text) not in self._rows]
        if new:
            rows = encode_texts(encoder, new, options, advance)
            self._rows |= {(model, text): row for text, row in zip(new, rows, strict=True)}
        return np.stack([self._rows[model, text] for text in texts])
