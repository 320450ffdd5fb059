"""Images in one folder per class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlcd_eval.data.base import Kind, Sample, Split
from mlcd_eval.data.class_names import in_class_order, in_words
from mlcd_eval.data.prompts import read_class_names, read_templates
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.storage.location import LocalFolder
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.data.storage.walk import IMAGE_SUFFIXES, files_below, images_of
from mlcd_eval.errors import ConfigError, DataError, nearest

SPLITS = ("train", "val", "test")


class ImageFolders(FolderSource):
    """The scheme `imagefolder`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> ImageFolder:
        """The data set in a folder."""
        held_out = float(options.get("val", 0))
        return ImageFolder(Path(address).expanduser(), name, cache, options.get("split"), held_out)

    def has_layout(self, folder: Path) -> bool:
        """Whether a split's folder has a class folder with an image."""
        return any(
            path.suffix.lower() in IMAGE_SUFFIXES for split in SPLITS for path in (folder / split).glob("[!.]*/[!.]*")
        )


class ImageFolder:
    """root/{train,val,test}/CLASS/**/IMAGE, or root/CLASS/**/IMAGE, which is then the split `test`. Without test, val
    is the split `test`, as ImageNet is scored.

    scored: the folder that is the split `test`, whatever its name. held_out: the share of train (or of a root without
    splits) that becomes val, drawn with seed 0, a share of each class. Labels number the class folders of train, or
    without train of the first split, sorted; numbers are sorted by value. Class names are the lines of
    root/classnames.txt in that order, else the folders' names in words; templates for zero-shot are the lines of
    root/zeroshot_classification_templates.txt. A sample's key is the path from the split's folder.
    """

    kind: Kind = "classification"

    def __init__(
        self, root: Path, name: str, cache: Path | None, scored: str | None = None, held_out: float = 0.0
    ) -> None:
        folder = LocalFolder(root)  # raises DataError for a missing one
        self.name = name
        self._cache = cache
        self._held_out = held_out
        self._folders = _split_folders(root, folder.folders(), scored, held_out)
        self.splits = tuple(split for split in SPLITS if split in self._folders)
        first = self._folders[self.splits[0]]
        self._classes = _class_folders(first)
        if not self._classes:
            raise DataError(f"{first} has no class folders: expected one folder of images per class")
        self.num_classes: int | None = len(self._classes)
        self.class_names: tuple[str, ...] | None = read_class_names(folder) or in_words(self._classes)
        self.templates = read_templates(folder)
        self._opened: dict[str, Split] = {}
        for split in self.splits[1:]:
            for unknown in sorted(set(_class_folders(self._folders[split])) - set(self._classes)):
                raise DataError(
                    f"{self._folders[split] / unknown} is a class that {self.splits[0]} does not have: "
                    f"expected one of the {len(self._classes)} folders of {first}{nearest(unknown, self._classes)}"
                )

    def split(self, name: str) -> Split:
        """The split, whose files are listed once; one shard is 1,024 of them."""
        if name not in self._folders:
            raise DataError(f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)}")
        if name not in self._opened:
            self._opened[name] = file_split(self.name, name, self._samples(name), self._cache, dangling=True)
        return self._opened[name]

    def _samples(self, name: str) -> Sequence[Sample]:
        root = self._folders[name]
        files = {path: label for label, folder in enumerate(self._classes) for path in files_below(root / folder)}
        images = images_of(root, list(files))
        samples = [Sample(path.relative_to(root).as_posix(), path, label=files[path]) for path in images]
        sharing = [split for split in self.splits if self._folders[split] == root]
        if len(sharing) == 1:
            return samples
        return _parts(samples, self._held_out)[sharing.index(name)]


def _split_folders(root: Path, folders: Sequence[str], scored: str | None, held_out: float) -> dict[str, Path]:
    """Split -> its folder; two splits of one folder share its images."""
    known = {split: root / split for split in SPLITS if split in folders}
    if scored is not None:
        if scored not in folders:
            raise ConfigError(
                f"{root} has no folder {scored!r} for ?split=: got {', '.join(folders)}{nearest(scored, folders)}"
            )
        known = {split: path for split, path in known.items() if split in ("train", "val") and split != scored}
        known["test"] = root / scored
    if held_out:
        if "val" in known:
            raise ConfigError(f"{root} has a folder val: expected no option val beside it")
        train = known.setdefault("train", root) if not known else known.get("train")
        if train is None:
            raise ConfigError(f"{root} has no folder train to hold out a share of: got {', '.join(known)}")
        known["val"] = train
    known = known or {"test": root}
    if "test" not in known and "val" in known:
        known["test"] = known.pop("val")
    return known


def _parts(samples: Sequence[Sample], held_out: float) -> tuple[list[Sample], list[Sample]]:
    """(kept, held out): the share of each class that is held out is drawn with seed 0."""
    import numpy as np

    from mlcd_eval.data.split import stratified_split

    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    kept, val = stratified_split(labels, held_out, np.random.default_rng(0))
    return [samples[row] for row in kept], [samples[row] for row in val]


def _class_folders(folder: Path) -> list[str]:
    return in_class_order(name for name in LocalFolder(folder).folders() if not name.startswith("."))
