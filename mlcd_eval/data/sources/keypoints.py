"""Images in pairs, with points of which it is known where they are in both: the layouts of the field's data sets of
correspondences, and the bundled scenes (point_layouts)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.data.base import Dataset, Kind
from mlcd_eval.data.scheme import DataFacts, Options, Source, folder_of
from mlcd_eval.data.sources.listed import ListedImages
from mlcd_eval.data.sources.point_layouts.part import Part
from mlcd_eval.data.sources.point_layouts.scenes import scenes
from mlcd_eval.data.sources.point_layouts.spair import MARK, spair
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.scene_files import INDEX
from mlcd_eval.errors import DataError


@dataclass(frozen=True)
class Layout:
    """form: the folders, for messages. mark: the folder or file by which it is recognised. usual: what the folder of a
    data set is called, data set -> name."""

    form: str
    mark: str
    read: Callable[[Path], Mapping[str, Part]]
    usual: Mapping[str, str]


LAYOUTS: Mapping[str, Layout] = {
    "scenes": Layout(f"{INDEX} and tar files", INDEX, scenes, {"densedemo_keypoints": "densedemo"}),
    "spair": Layout("PairAnnotation and JPEGImages", MARK, spair, {"spair71k": "SPair-71k"}),
}


class KeypointFiles(Source):
    """The scheme `keypoints`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The pairs of a folder, whose layout is recognised unless it is given."""
        folder = Path(address).expanduser()
        LocalFolder(folder)  # raises DataError for a missing one
        layout = options.get("layout") or _layout_of(folder)
        if layout is None:
            known = "; ".join(f"{name} has {each.form}" for name, each in LAYOUTS.items())
            raise DataError(f"{folder} has no layout that is known here, expected one of these: {known}")
        return PointSet(name, LAYOUTS[layout].read(folder), cache)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, or by its own usual name, if it has a layout."""
        usual = (root / layout.usual[facts.name] for layout in LAYOUTS.values() if facts.name in layout.usual)
        found = next((str(folder) for folder in usual if _has_layout(folder)), None)
        return folder_of(root, facts, _has_layout) or found

    def discover(self, root: Path) -> list[str]:
        """The folders directly below the root that have a layout of correspondences alone."""
        return [str(folder) for folder in root.glob("*") if _layout_of(folder) not in (None, "scenes")]


def _layout_of(folder: Path) -> str | None:
    return next((name for name, layout in LAYOUTS.items() if (folder / layout.mark).exists()), None)


def _has_layout(folder: Path) -> bool:
    return _layout_of(folder) is not None


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
        if split not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")
        if split not in self._pairs:
            self._pairs[split] = self._parts[split].pairs()
            if not self._pairs[split]:
                raise DataError(f"split {split!r} of {self.name} has no pairs: got 0, expected at least 1")
        return self._pairs[split]
