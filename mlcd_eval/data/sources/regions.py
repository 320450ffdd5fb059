"""Images with boxes and masks of parts that have a class: COCO's and LVIS's instances, the things of the bundled
scenes, and words on rendered pages."""

from __future__ import annotations

from pathlib import Path

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.scheme import DataFacts, Options, Source, names_of
from mlcd_eval.data.sources.coco_instances import coco_instances, instance_files, years_of
from mlcd_eval.data.sources.printed_words import SUFFIX, printed_words
from mlcd_eval.data.sources.scene_regions import scene_regions
from mlcd_eval.data.sources.table import existing_file
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.scene_files import INDEX
from mlcd_eval.errors import DataError

USUAL = {
    "densedemo_regions": ("densedemo",),
    "coco_instances": ("coco", "mscoco", "COCO"),
    "lvis": ("lvis_v1",),
}
"""Data set -> what its folder is called as it comes."""


class RegionFiles(Source):
    """The scheme `regions`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """What a folder or a file of words holds."""
        if address.endswith(SUFFIX):
            return printed_words(existing_file(address), name, cache)
        folder = Path(address).expanduser()
        LocalFolder(folder)  # raises DataError for a missing one
        if (folder / INDEX).is_file():
            return scene_regions(folder, name)
        if not instance_files(folder):
            raise DataError(
                f"{folder} has no regions that are known here, expected annotations/instances_val2017.json, "
                f"annotations/lvis_v1_val.json or {INDEX}"
            )
        return coco_instances(folder, options.get("year"), name, cache)

    def default_name(self, address: str) -> str:
        """The folder's or file's name without its suffix."""
        return Path(address).absolute().name.removesuffix(SUFFIX)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """NAME.words.json, or a folder of the data set's name, or of its own usual name, that has regions."""
        names = names_of(facts)
        files = (root / f"{name}{SUFFIX}" for name in names)
        folders = (root / name for name in (*names, *USUAL.get(facts.name, ())))
        addresses = (str(file) if file.is_file() else None for file in files), (_address(folder) for folder in folders)
        return next((address for of_kind in addresses for address in of_kind if address), None)

    def discover(self, root: Path) -> list[str]:
        """The files of words directly in the root, and the folders there that have instances."""
        folders = (_address(folder) for folder in root.glob("*") if instance_files(folder))
        return [*(str(file) for file in root.glob(f"*{SUFFIX}")), *filter(None, folders)]


def _address(folder: Path) -> str | None:
    """The address of a folder that has regions; of COCO's files of several years the last."""
    if (folder / INDEX).is_file():
        return str(folder)
    years = years_of(folder)
    named = str(folder) if instance_files(folder) else None
    return f"{folder}?year={years[-1]}" if years[1:] else named
