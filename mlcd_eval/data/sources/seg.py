"""Images with a class for each pixel, in the layouts of the field's data sets and of the bundled scenes
(seg_layouts.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.data.base import Dataset, Kind, Sample
from mlcd_eval.data.sources.layouts import LayoutFiles
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.sources.seg_layouts import LAYOUTS, Pixels
from mlcd_eval.data.storage.class_maps import class_maps


class SegmentationFiles(LayoutFiles):
    """The scheme `seg`."""

    layouts = LAYOUTS
    usual = MappingProxyType(
        {
            "ade20k": ("ADEChallengeData2016",),
            "voc2012_segmentation": ("VOCdevkit/VOC2012", "VOC2012"),
            "cityscapes": ("cityscapes",),
            "coco_stuff": ("coco_stuff164k", "coco"),
        }
    )
    discovers_scenes = True

    def made(self, name: str, content: Pixels, folder: Path, cache: Path | None) -> Dataset:
        """The images and masks of a folder."""
        return SegmentationSet(name, content, cache)


class SegmentationSet(ListedImages):
    """Images of which each pixel has a class or none. num_classes: their number, background included where it is one.

    Raises DataError for a folder without images; `annotations` raises it for masks that do not fit their images.
    """

    kind: Kind = "segmentation"

    def __init__(self, name: str, pixels: Pixels, cache: Path | None) -> None:
        self._rows = pixels.splits
        images = {split: [Sample(row.key, row.image) for row in rows] for split, rows in pixels.splits.items()}
        is_on_disk = all(isinstance(row.image, Path) for rows in pixels.splits.values() for row in rows)
        super().__init__(name, images, cache if is_on_disk else None)
        self.class_names: tuple[str, ...] | None = pixels.class_names
        self.num_classes: int | None = pixels.num_classes
        self._maps: dict[str, list[ClassMap]] = {}

    def annotations(self, split: str) -> Sequence[ClassMap]:
        """The class map of each image."""
        self.check(split)
        if split not in self._maps:
            self._maps[split] = class_maps(self._rows[split], self._cache)
        return self._maps[split]
