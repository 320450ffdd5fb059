"""Clips with masks of numbered objects, in the layouts of DAVIS 2017 and of the bundled scenes (clip_layouts.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from mlcd_eval.data.annotations import ClassMap, Clip
from mlcd_eval.data.base import Dataset, Kind, Sample
from mlcd_eval.data.sources.clip_layouts import LAYOUTS, Clips
from mlcd_eval.data.sources.layouts import LayoutFiles
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.storage.class_maps import class_maps
from mlcd_eval.errors import DataError

FEWEST = 3
"""Frames of a clip: the first one is given, and the last one is not scored."""


class VideoFiles(LayoutFiles):
    """The scheme `video`."""

    layouts = LAYOUTS
    usual = MappingProxyType({"densedemo_clips": ("densedemo",), "davis2017": ("DAVIS",)})

    def made(self, name: str, content: Clips, folder: Path, cache: Path | None) -> Dataset:
        """The clips of a folder."""
        return ClipSet(name, content, cache)


class ClipSet(ListedImages):
    """Frames of clips. `annotations` raises DataError for masks that do not fit their frames or each other, and for a
    clip that is too short or shows no object at first."""

    kind: Kind = "video"

    def __init__(self, name: str, clips: Clips, cache: Path | None) -> None:
        self._clips = clips
        rows = {split: [row for frames in of_split.values() for row in frames] for split, of_split in clips.items()}
        is_on_disk = all(isinstance(row.image, Path) for of_split in rows.values() for row in of_split)
        samples = {split: [Sample(row.key, row.image) for row in of_split] for split, of_split in rows.items()}
        super().__init__(name, samples, cache if is_on_disk else None)
        self._read: dict[str, list[Clip]] = {}

    def annotations(self, split: str) -> Sequence[Clip]:
        """The clips of a split."""
        self.check(split)
        if split not in self._read:
            clips = self._clips[split]
            self._read[split] = [_clip(name, class_maps(frames, self._cache)) for name, frames in clips.items()]
        return self._read[split]


def _clip(name: str, masks: Sequence[ClassMap]) -> Clip:
    if len(masks) < FEWEST:
        raise DataError(f"clip {name!r} is too short: got {len(masks)} frames, expected at least {FEWEST}")
    (height, width), others = masks[0].size, {mask.size for mask in masks}
    if len(others) > 1:
        wrong = next(mask for mask in masks if mask.size != masks[0].size)
        raise DataError(
            f"frame {wrong.image!r} has another size than the clip's first: got {wrong.size[1]} x {wrong.size[0]} "
            f"pixels, expected {width} x {height}"
        )
    num_objects = int(masks[0].pixels().max())
    if not num_objects:
        raise DataError(
            f"clip {name!r} has no object in its first frame {masks[0].image!r}: got a mask of 0 alone, expected "
            "numbers from 1"
        )
    digest = hashlib.sha256("\n".join(mask.digest for mask in masks).encode()).hexdigest()
    keys = tuple(mask.image for mask in masks)
    return Clip(name, keys, masks[0].size, digest, num_objects, tuple(masks))
