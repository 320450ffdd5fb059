"""Schemes of folders that come in one of several layouts, each recognised by a file or folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.scheme import DataFacts, FolderSource, Options
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.scene_files import INDEX
from mlcd_eval.errors import DataError

SCENES = "scenes"
"""The name of the layout of the bundled scenes."""
SCENES_FORM = f"{INDEX} and tar files"
Content = TypeVar("Content")


@dataclass(frozen=True)
class Layout(Generic[Content]):
    """form: the folders, for messages. marks: files or folders by any of which it is recognised."""

    form: str
    marks: tuple[str, ...]
    read: Callable[[Path], Content]


class LayoutFiles(FolderSource):
    """A scheme of layouts, by name, in the order in which they are recognised.

    usual: data set -> what its folder is called as it comes. discovers_scenes: whether the bundled scenes are shown to
    users who look for data of this scheme.
    """

    layouts: ClassVar[Mapping[str, Layout[Any]]]
    usual: ClassVar[Mapping[str, tuple[str, ...]]]
    discovers_scenes: ClassVar[bool] = False

    def made(self, name: str, content: Any, folder: Path, cache: Path | None) -> Dataset:
        """The data set of what a layout's reader has found in a folder."""
        raise NotImplementedError

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The content of a folder, whose layout is recognised unless it is given."""
        folder = Path(address).expanduser()
        LocalFolder(folder)  # raises DataError for a missing one
        layout = options.get("layout") or self._layout_of(folder)
        if layout is None:
            known = "; ".join(f"{name} has {each.form}" for name, each in self.layouts.items())
            raise DataError(f"{folder} has no layout that is known here, expected one of these: {known}")
        return self.made(name, self.layouts[layout].read(folder), folder, cache)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, or by its own usual name, if it has a layout."""
        usual = (root / folder for folder in self.usual.get(facts.name, ()))
        found = next((str(folder) for folder in usual if self.has_layout(folder)), None)
        return super().find(root, facts, split) or found

    def discover(self, root: Path) -> list[str]:
        """The folders directly below the root that have a layout."""
        hidden = (None,) if self.discovers_scenes else (None, SCENES)
        return [str(folder) for folder in root.glob("*") if self._layout_of(folder) not in hidden]

    def _layout_of(self, folder: Path) -> str | None:
        return next(
            (name for name, each in self.layouts.items() if any((folder / mark).exists() for mark in each.marks)), None
        )

    def has_layout(self, folder: Path) -> bool:
        """Whether it has one of the layouts."""
        return self._layout_of(folder) is not None
