"""Images with a depth or a surface normal for each pixel, in the layouts of the field's data sets and of the bundled
scenes (pixel_layouts.py)."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.data.base import Dataset
from mlcd_eval.data.sources.layouts import LayoutFiles
from mlcd_eval.data.sources.listed import PixelImages
from mlcd_eval.data.sources.nyu_images import NyuImages
from mlcd_eval.data.sources.pixel_layouts import LAYOUTS, Splits, read_splits
from mlcd_eval.data.storage.nyu_mat import NyuMat
from mlcd_eval.data.storage.pixel_values import Measured, Quantity, pixel_values


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


class PixelSet(PixelImages[Measured, PixelValues]):
    """Images of whose pixels a quantity is known. Raises DataError for a split that has a key twice."""

    def __init__(self, name: str, quantity: Quantity, splits: Splits, cache: Path | None) -> None:
        super().__init__(name, splits, pixel_values, cache)
        self.kind = quantity
