"""Images with a depth or a surface normal for each pixel, in the layouts of the field's data sets and of the bundled
scenes (pixel_layouts.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.data.base import Dataset, Sample
from mlcd_eval.data.scheme import DataFacts, Options, Source, folder_of
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.sources.pixel_layouts import Splits, layout_of, layouts_of, read_layout
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.pixel_values import Quantity, pixel_values
from mlcd_eval.errors import DataError


class PixelFiles(Source):
    """A scheme of one quantity. usual: data set -> what its folder is called as it comes."""

    quantity: ClassVar[Quantity]
    usual: ClassVar[Mapping[str, tuple[str, ...]]]

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The images and values of a folder, whose layout is recognised unless it is given."""
        folder = Path(address).expanduser()
        LocalFolder(folder)  # raises DataError for a missing one
        layout = options.get("layout") or layout_of(self.quantity, folder)
        if layout is None:
            known = "; ".join(f"{name} has {each.form}" for name, each in layouts_of(self.quantity).items())
            raise DataError(f"{folder} has no layout that is known here, expected one of these: {known}")
        return PixelSet(name, self.quantity, read_layout(self.quantity, layout, folder), cache)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, or by its own usual name, if it has a layout."""
        usual = (root / folder for folder in self.usual.get(facts.name, ()))
        found = next((str(folder) for folder in usual if self._has_layout(folder)), None)
        return folder_of(root, facts, self._has_layout) or found

    def discover(self, root: Path) -> list[str]:
        """The folders directly below the root that have a layout."""
        return [str(folder) for folder in root.glob("*") if self._has_layout(folder)]

    def _has_layout(self, folder: Path) -> bool:
        return layout_of(self.quantity, folder) is not None


class DepthFiles(PixelFiles):
    """The scheme `depth`."""

    quantity = "depth"
    usual = MappingProxyType({"densedemo_depth": ("densedemo",), "nyuv2": ("nyu",), "kitti_depth": ("kitti",)})


class NormalFiles(PixelFiles):
    """The scheme `normals`."""

    quantity = "normals"
    usual = MappingProxyType({"densedemo_normals": ("densedemo",), "nyuv2_normals": ("dsine_eval/nyuv2", "nyuv2")})


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
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")
        if split not in self._values:
            self._values[split] = pixel_values(self._rows[split], self._cache)
        return self._values[split]
