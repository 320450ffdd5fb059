"""Images with a depth or a surface normal for each pixel, in the layouts of the field's data sets and of the bundled
scenes (pixel_layouts.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.data.base import Dataset, Sample
from mlcd_eval.data.sources.layouts import LayoutFiles
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.sources.nyu_images import NyuImages
from mlcd_eval.data.sources.pixel_layouts import LAYOUTS, Splits, read_splits
from mlcd_eval.data.storage.nyu_mat import NyuMat
from mlcd_eval.data.storage.pixel_values import Quantity, pixel_values


class DepthFiles(LayoutFiles):
    """The scheme `depth`."""

    layouts = LAYOUTS["depth"]
    usual = MappingProxyType(
        {
            "densedemo_depth": ("densedemo",),
            "nyuv2": ("nyu",),
            "nyuv2_labelled": ("nyuv2", "nyu_depth_v2"),
            "kitti_depth": ("kitti",),
        }
    )
    discovers_scenes = True

    def made(self, name: str, content: Splits | NyuMat, folder: Path, cache: Path | None) -> Dataset:
        """The images of a folder and their depth."""
        if isinstance(content, NyuMat):
            return NyuImages(name, content, cache)
        return PixelSet(name, "depth", read_splits(content, folder), cache)


class NormalFiles(LayoutFiles):
    """The scheme `normals`."""

    layouts = LAYOUTS["normals"]
    usual = MappingProxyType({"densedemo_normals": ("densedemo",), "nyuv2_normals": ("dsine_eval/nyuv2", "nyuv2")})
    discovers_scenes = True

    def made(self, name: str, content: Splits, folder: Path, cache: Path | None) -> Dataset:
        """The images of a folder and their surface normals."""
        return PixelSet(name, "normals", read_splits(content, folder), cache)


class PixelSet(ListedImages):
    """Images of whose pixels a quantity is known. Raises DataError for a split that has a key twice; `annotations`
    raises it for files that do not fit their images."""

    def __init__(self, name: str, quantity: Quantity, splits: Splits, cache: Path | None) -> None:
        self._rows = splits
        images = {split: [Sample(row.key, row.image) for row in rows] for split, rows in splits.items()}
        is_on_disk = all(isinstance(row.image, Path) for rows in splits.values() for row in rows)
        super().__init__(name, images, cache if is_on_disk else None)
        self.kind = quantity
        self._values: dict[str, list[PixelValues]] = {}

    def annotations(self, split: str) -> Sequence[PixelValues]:
        """The values of each image."""
        self.check(split)
        if split not in self._values:
            self._values[split] = pixel_values(self._rows[split], self._cache)
        return self._values[split]
