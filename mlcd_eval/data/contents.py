"""Which images of two splits are the same, by hashes of their files' contents."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.data.base import EncodedImage, Split
from mlcd_eval.support.disk_memo import memoised


@dataclass
class _Contents:
    """Key -> hash of the contents."""

    hashes: dict[str, str]


def content_hashes(split: Split, cache: Path) -> dict[str, str]:
    """Key -> hex digest of each image's file, or of its pixels where the source has no file. Every image is read, once
    for each cache; one whose file is missing is left out."""

    def read() -> _Contents:
        samples = (sample for shard in split.shards for sample in shard.samples())
        hashes = ((sample.key, _hash(sample.image)) for sample in samples)
        return _Contents({key: value for key, value in hashes if value is not None})

    return memoised(cache / "contents", split.scan().fingerprint, _Contents, read).hashes


def _hash(image: EncodedImage) -> str | None:
    if isinstance(image, Path):
        try:
            image = image.read_bytes()
        except OSError:
            return None  # it is a bad image, which encoding reports
    if not isinstance(image, bytes):
        image = f"{image.mode} {image.size} ".encode() + image.tobytes()
    return hashlib.sha256(image).hexdigest()
