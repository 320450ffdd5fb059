"""Images with a class for each pixel, in the layouts of the field's data sets and of the bundled scenes
(seg_layouts.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.data.base import Dataset, Kind, Sample
from mlcd_eval.data.scheme import DataFacts, Options, Source, folder_of
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.sources.seg_layouts import LAYOUTS, Pixels
from mlcd_eval.data.storage.class_maps import class_maps
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.errors import DataError


class SegmentationFiles(Source):
    """The scheme `seg`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The images and masks of a folder, whose layout is recognised unless it is given."""
        folder = Path(address).expanduser()
        LocalFolder(folder)  # raises DataError for a missing one
        layout = options.get("layout") or _layout_of(folder)
        if layout is None:
            known = "; ".join(f"{name} has {each.form}" for name, each in LAYOUTS.items())
            raise DataError(f"{folder} has no layout that is known here, expected one of these: {known}")
        return SegmentationSet(name, LAYOUTS[layout].read(folder), cache)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, or by its own usual name, if it has a layout."""
        usual = (root / folder for folder in USUAL.get(facts.name, ()))
        found = next((str(folder) for folder in usual if _layout_of(folder)), None)
        return folder_of(root, facts, _has_layout) or found

    def discover(self, root: Path) -> list[str]:
        """The folders directly below the root that have a layout."""
        return [str(folder) for folder in root.glob("*") if _has_layout(folder)]


USUAL = {
    "ade20k": ("ADEChallengeData2016",),
    "voc2012_segmentation": ("VOCdevkit/VOC2012", "VOC2012"),
    "cityscapes": ("cityscapes",),
    "coco_stuff": ("coco_stuff164k", "coco"),
}
"""Data set -> what its folder is called as it comes."""


def _layout_of(folder: Path) -> str | None:
    return next(
        (name for name, layout in LAYOUTS.items() if any((folder / each).exists() for each in layout.marks)), None
    )


def _has_layout(folder: Path) -> bool:
    return _layout_of(folder) is not None


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
