"""What is encoded of a chunk before the chunk is complete, so that a stopped run loses seconds of work, not a chunk.

A piece is a file of consecutive samples of a chunk, beside the parts of its entry: `SHARD_CHUNK_FIRST_STOP.piece`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mlcd_eval.data.base import Sample
from mlcd_eval.features.store import Chunk, Entry, Part, read_part, write_part

SECONDS = 30.0  # between pieces


class Pieces:
    """The pieces of the chunks that a rank encodes.

    entries: by layer. todo: chunk -> the layers that it lacks. stops: chunk -> how many of its first samples, bad ones
    included, are in pieces of all of these layers; other pieces are removed.
    """

    def __init__(self, entries: Mapping[str, Entry], todo: Mapping[Chunk, Sequence[str]]) -> None:
        self._entries = entries
        self._stored = time.monotonic()
        self._paths: dict[tuple[str, Chunk], list[Path]] = {}
        self.stops: dict[Chunk, int] = {}
        listed = {layer: _listed(entry) for layer, entry in entries.items()}
        for chunk, layers in todo.items():
            of_layers = {layer: listed[layer].get(chunk, {}) for layer in layers}
            spans = {layer: _from_first(pieces) for layer, pieces in of_layers.items()}
            stops = {span[-1] for span in spans.values()}
            self.stops[chunk] = stops.pop() if len(stops) == 1 else 0
            for layer, pieces in of_layers.items():
                kept = [] if not self.stops[chunk] else [pieces[first] for first in spans[layer][:-1]]
                for path in pieces.values():
                    if path not in kept:
                        path.unlink(missing_ok=True)
                self._paths[layer, chunk] = kept

    @property
    def due(self) -> bool:
        """Whether it is time to store a piece."""
        return time.monotonic() - self._stored >= SECONDS

    def rest(self, samples: Iterable[tuple[Chunk, Sample]]) -> Iterator[tuple[Chunk, Sample]]:
        """Yield the samples that are in no piece. The samples of a chunk must come in order and start at its first."""
        number: dict[Chunk, int] = {}
        for chunk, sample in samples:
            number[chunk] = number.get(chunk, 0) + 1
            if number[chunk] > self.stops[chunk]:
                yield chunk, sample

    def add(self, chunk: Chunk, parts: Mapping[str, Part]) -> None:
        """Store the next samples of a chunk, by layer."""
        first = self.stops[chunk]
        for layer, part in parts.items():
            stop = first + len(part.keys) + len(part.bad)
            path = self._entries[layer].part_path(chunk)
            path = path.with_name(f"{path.stem}_{first:09d}_{stop:09d}.piece")
            write_part(path, part)
            self._paths[layer, chunk].append(path)
            self.stops[chunk] = stop
        self._stored = time.monotonic()

    def finish(self, chunk: Chunk, parts: Mapping[str, Part]) -> None:
        """Store a chunk whose last samples these are, and remove its pieces."""
        for layer, part in parts.items():
            paths = self._paths[layer, chunk]
            self._entries[layer].write_part(chunk, _joined([*map(read_part, paths), part]))
            for path in paths:
                path.unlink(missing_ok=True)
        self._stored = time.monotonic()


def _listed(entry: Entry) -> dict[Chunk, dict[int, Path]]:
    """Return chunk -> first sample -> piece."""
    by_chunk: dict[Chunk, dict[int, Path]] = {}
    for path in entry.part_path((0, 0)).parent.glob("*.piece"):
        shard, chunk, first, _ = map(int, path.stem.split("_"))
        by_chunk.setdefault((shard, chunk), {})[first] = path
    return by_chunk


def _from_first(pieces: Mapping[int, Path]) -> list[int]:
    """Return where pieces without a gap start, from the first sample on, and where the last of them stops."""
    starts = [0]
    while starts[-1] in pieces:
        starts.append(int(pieces[starts[-1]].stem.rpartition("_")[2]))
    return starts


def _joined(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    arrays = [part.array for part in parts if len(part.array)] or [parts[-1].array]
    return Part(
        array=np.concatenate(arrays),
        keys=[key for part in parts for key in part.keys],
        labels=[label for part in parts for label in part.labels],
        texts=[texts for part in parts for texts in part.texts],
        bad=[key for part in parts for key in part.bad],
    )
