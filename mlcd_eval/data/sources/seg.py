"""Images with a class for each pixel, in the layouts of the field's data sets and of the bundled scenes
(seg_layouts.py)."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.data.base import Dataset, Kind
from mlcd_eval.data.sources.layouts import LayoutFiles
from mlcd_eval.data.sources.listed import PixelImages
from mlcd_eval.data.sources.seg_layouts import LAYOUTS, Pixels
from mlcd_eval.data.storage.class_maps import Labelled, class_maps


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


class SegmentationSet(PixelImages[Labelled, ClassMap]):
    """Images of which each pixel has a class or none. num_classes: their number, background included where it is one.

    Raises DataError for a folder without images.
    """

    kind: Kind = "segmentation"

    def __init__(self, name: str, pixels: Pixels, cache: Path | None) -> None:
        super().__init__(name, pixels.splits, class_maps, cache)
        self.class_names: tuple[str, ...] | None = pixels.class_names
        self.num_classes: int | None = pixels.num_classes
