"""Choices among texts in the layouts of SugarCrepe and VL-CheckList."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from mlcd_eval.data.annotations import Pairs
from mlcd_eval.data.base import Dataset
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.sources.pairs import ListedPairs
from mlcd_eval.data.storage.json_file import read_json, validated_json
from mlcd_eval.data.storage.walk import files_below
from mlcd_eval.errors import DataError

SORTS = ("add_att", "add_obj", "replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
"""SugarCrepe's sorts of wrong captions, a file each."""
TYPES = ("Attribute", "Object", "Relation")
"""VL-CheckList's, a folder each."""
SOURCES = {"hake": "hake", "swig": "swig", "vg": "vg", "vaw": "vg"}
"""What a file of VL-CheckList has in its path -> the folder of its images; VAW describes those of Visual Genome."""


class _Captions(BaseModel):
    filename: str
    caption: str
    negative_caption: str


class SugarCrepe(FolderSource):
    """The scheme `sugarcrepe`: swap_obj.json and others, {ID: {filename, caption, negative_caption}} (Hsieh et al.
    2023)."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The items of all files, or of the one that the option names; their sort is their category."""
        folder = Path(address).expanduser()
        images = Path(options["images"]).expanduser() if "images" in options else folder / "images"
        files = [folder / f"{sort}.json" for sort in ([options["sort"]] if "sort" in options else SORTS)]
        found = [file for file in files if file.is_file()]
        if not found:
            raise DataError(f"{folder} has no {files[0].name}: expected a file for each sort of captions")
        items = []
        for file in found:
            captions: dict[str, _Captions] = validated_json(dict[str, _Captions], read_json(file), file)
            items += [
                Pairs(f"{file.stem}/{key}", (each.filename,), (each.caption, each.negative_caption), file.stem)
                for key, each in captions.items()
            ]
        return ListedPairs(name, "test", items, images, folder, cache)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has one of the files."""
        return any((folder / f"{sort}.json").is_file() for sort in SORTS)


class _Texts(BaseModel):
    right: list[str] = Field(alias="POS", min_length=1)
    wrong: list[str] = Field(alias="NEG", min_length=1)


class VLCheckList(FolderSource):
    """The scheme `vl-checklist`: data/TYPE/**.json, [[IMAGE, {"POS": [TEXT], "NEG": [TEXT]}]], and the folders hake,
    swig and vg of images (Zhao et al. 2022)."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The items of all files, or of one type, each with its first right and its first wrong text, as its own code
        compares them; the path of an item's file is its category."""
        folder = Path(address).expanduser()
        images = Path(options["images"]).expanduser() if "images" in options else folder
        data = folder / "data"
        items = []
        for kind in [options["type"]] if "type" in options else TYPES:
            for file in sorted(files_below(data / kind)) if (data / kind).is_dir() else ():
                if file.suffix == ".json":
                    items += _of_file(file, file.relative_to(data).with_suffix("").as_posix())
        return ListedPairs(name, "test", items, images, data, cache)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has a folder of each type."""
        return all((folder / "data" / kind).is_dir() for kind in TYPES)


def _of_file(path: Path, category: str) -> list[Pairs]:
    words = category.replace("/", "_").split("_")
    source = next((SOURCES[word] for word in words if word in SOURCES), None)
    if source is None:
        raise DataError(f"{path} does not say whose images it is of: expected {', '.join(SOURCES)} in its path")
    rows: list[tuple[str, _Texts]] = validated_json(list[tuple[str, _Texts]], read_json(path), path)
    return [
        Pairs(f"{category}/{number}", (f"{source}/{image}",), (texts.right[0], texts.wrong[0]), category)
        for number, (image, texts) in enumerate(rows)
    ]
