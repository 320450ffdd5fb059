"""Images in pairs, with points of which it is known where they are in both: the layouts of the field's data sets of
correspondences, and the bundled scenes (point_layouts)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.data.base import Dataset, Kind
from mlcd_eval.data.sources.layouts import SCENES, SCENES_FORM, Layout, LayoutFiles
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.sources.point_layouts.navi import LISTS, navi
from mlcd_eval.data.sources.point_layouts.part import Part
from mlcd_eval.data.sources.point_layouts.scenes import scenes
from mlcd_eval.data.sources.point_layouts.spair import MARK, spair
from mlcd_eval.data.storage.scene_files import INDEX
from mlcd_eval.errors import DataError


class KeypointFiles(LayoutFiles):
    """The scheme `keypoints`."""

    layouts: ClassVar[Mapping[str, Layout[Mapping[str, Part]]]] = {
        SCENES: Layout(SCENES_FORM, (INDEX,), scenes),
        "spair": Layout("PairAnnotation and JPEGImages", (MARK,), spair),
        "navi": Layout(f"{LISTS} and a folder for each object", (LISTS,), navi),
    }
    usual = MappingProxyType(
        {
            "densedemo_keypoints": ("densedemo",),
            "spair71k": ("SPair-71k",),
            "navi": ("navi_v1.5", "navi_v1.0", "navi_v1"),
        }
    )

    def made(self, name: str, content: Mapping[str, Part], folder: Path, cache: Path | None) -> Dataset:
        """The pairs of a folder."""
        return PointSet(name, content, cache)


class PointSet(ListedImages):
    """Images of which pairs share points. Raises DataError for a split that has an image twice; `annotations` raises it
    for points that are outside of their image."""

    kind: Kind = "keypoints"

    def __init__(self, name: str, parts: Mapping[str, Part], cache: Path | None) -> None:
        self._parts = parts
        is_on_disk = all(isinstance(each.image, Path) for part in parts.values() for each in part.samples)
        super().__init__(name, {split: part.samples for split, part in parts.items()}, cache if is_on_disk else None)
        self._pairs: dict[str, list[PointPair]] = {}

    def annotations(self, split: str) -> Sequence[PointPair]:
        """The pairs of a split."""
        self.check(split)
        if split not in self._pairs:
            self._pairs[split] = self._parts[split].pairs(self._cache)
            if not self._pairs[split]:
                raise DataError(f"split {split!r} of {self.name} has no pairs: got 0, expected at least 1")
        return self._pairs[split]
