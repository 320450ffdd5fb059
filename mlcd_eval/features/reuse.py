"""Encoding for a second look at data of a run: what is kept is not encoded again, and what is not is announced."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlcd_eval.data.base import Sample, Shard, ShardScan, Split
from mlcd_eval.data.storage.images import orientation
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.features.encode import Encoded, EncodeOptions, encode_split, entries_of
from mlcd_eval.features.upright import UprightEncoder
from mlcd_eval.protocols.base import Features
from mlcd_eval.support.disk_memo import memoised
from mlcd_eval.support.distributed import world_size
from mlcd_eval.support.progress import Advance


class KeptImages:
    """`encode_split` that says in a sentence, before it encodes, what is not kept.

    Upright images that no EXIF orientation turns are the images as they are: where the features of these are kept, only
    the others are encoded, in batches of their own (so that the last bits may differ from those of a run).
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def __call__(
        self, encoder: Encoder, split: Split, layers: Sequence[str], options: EncodeOptions, advance: Advance
    ) -> Encoded:
        """Return the features of a split, as `encode_split`."""
        if _is_kept(encoder, split, layers, options):
            return encode_split(encoder, split, layers, options, advance)
        where, size = f"{split.dataset}/{split.name}", split.scan().num_samples
        if isinstance(encoder, UprightEncoder) and _is_kept(encoder.as_they_are, split, layers, options):
            as_they_are = encode_split(encoder.as_they_are, split, layers, options)
            kept = as_they_are.features
            keys = kept[layers[0]].keys
            if len(set(keys)) == len(keys) and world_size() == 1:
                turned = _turned(split, set(keys), options)
                self._say(
                    f"{where}: EXIF turns {len(turned)} of {len(keys)} images, which are encoded; the features of the "
                    f"others are kept"
                )
                return self._with_turned(encoder, split, as_they_are, turned, options, advance)
        which = "upright images" if isinstance(encoder, UprightEncoder) else "images"
        self._say(
            f"{where}: no features of {which} are kept at {' and '.join(layers)}, so that "
            f"{'all' if size is None else f'{size:,}'} images are encoded"
        )
        return encode_split(encoder, split, layers, options, advance)

    def _with_turned(
        self,
        encoder: Encoder,
        split: Split,
        as_they_are: Encoded,
        turned: Collection[str],
        options: EncodeOptions,
        advance: Advance,
    ) -> Encoded:
        kept, efficiency = as_they_are.features, as_they_are.efficiency
        if not turned:
            return Encoded(kept, 0, 0.0, efficiency)
        part = Split(split.dataset, split.name, [_Chosen(shard, turned) for shard in split.shards])
        done = encode_split(encoder, part, list(kept), replace(options, limit=None), advance)
        features = {layer: _replaced(kept[layer], done.features[layer]) for layer in kept}
        return Encoded(features, done.images_encoded, done.seconds, efficiency)


def _is_kept(encoder: Encoder, split: Split, layers: Sequence[str], options: EncodeOptions) -> bool:
    return all(entry.settled for entry in entries_of(encoder, split, layers, options).values())


@dataclass
class _Turned:
    keys: list[str]


def _turned(split: Split, among: Collection[str], options: EncodeOptions) -> set[str]:
    """Return the keys of the images that may be turned, by their files' headers, which are read once."""

    def read() -> _Turned:
        samples = (sample for shard in split.shards for sample in shard.samples())
        return _Turned([sample.key for sample in samples if orientation(sample.image) != 1])

    keys = memoised(options.cache / "orientations", split.scan().fingerprint, _Turned, read).keys
    return {key for key in keys if key in among}


class _Chosen:
    """The samples of a shard that are chosen by their keys."""

    def __init__(self, shard: Shard, keys: Collection[str]) -> None:
        self.name, self._shard, self._keys = shard.name, shard, keys

    def scan(self) -> ShardScan:
        """Identify the samples by the shard's contents and the keys; only reading shows how many are in this shard."""
        text = "\n".join([self._shard.scan().fingerprint, *sorted(self._keys)])
        return ShardScan(hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(), None)

    def samples(self) -> Iterator[Sample]:
        """The chosen samples in order."""
        return (sample for sample in self._shard.samples() if sample.key in self._keys)


def _replaced(kept: Features, new: Features) -> Features:
    """Return features of which the rows of some images are others, without the images that have become bad."""
    array, place = np.array(kept.array), {key: row for row, key in enumerate(kept.keys)}
    array[[place[key] for key in new.keys]] = new.array
    bad = set(new.bad)
    rows = [row for row, key in enumerate(kept.keys) if key not in bad]
    return Features(
        array=array[rows],
        keys=[kept.keys[row] for row in rows],
        labels=None if kept.labels is None else kept.labels[rows],
        texts=[kept.texts[row] for row in rows],
        bad=[*kept.bad, *new.bad],
    )
