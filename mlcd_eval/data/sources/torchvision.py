"""Classification datasets of torchvision, from what it keeps on disk."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlcd_eval.data.base import Dataset, Kind, Sample, Split
from mlcd_eval.data.labels import LabelRange
from mlcd_eval.data.scheme import Options, Source
from mlcd_eval.data.storage.rows import RowShard, files_identity, ranges
from mlcd_eval.errors import ConfigError, DataError, nearest
from mlcd_eval.support.foreign import reading

_SPLIT_NAMES = {"train": ("train", "trainval"), "val": ("val", "valid"), "test": ("test",)}  # ours: torchvision's


class TorchvisionDatasets(Source):
    """The scheme `torchvision`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The data set of a class of torchvision.datasets."""
        download = options.get("download") == "true"
        if download and offline:
            raise DataError(f"torchvision:{address} asks for a download, and this run is offline")
        root = Path(options["root"]).expanduser()
        return TorchvisionDataset(address, root, download=download, name=name, cache=cache)


class TorchvisionDataset:
    """`torchvision:CIFAR10?root=DIR[&download=true]`: any class of torchvision.datasets that takes `root`, and `train`
    or `split`, and gives (image, class index).

    torchvision lists nothing without loading, so opening one reads all that its constructor reads. Images that are
    files are passed on as paths. Class names have spaces for underscores.
    """

    kind: Kind = "classification"
    templates: tuple[str, ...] | None = None

    def __init__(self, class_name: str, root: Path, *, download: bool, name: str, cache: Path | None) -> None:
        self.name = name
        self._cache = cache
        self._opened: dict[str, Any] = {}
        self._absent: dict[str, DataError] = {}
        construct = _constructor(class_name, root, download)
        for split, names in _SPLIT_NAMES.items():
            try:
                with reading(f"torchvision's {class_name} cannot be read from {root}"):
                    self._opened[split] = construct(names)
            except DataError as error:
                self._absent[split] = error
        if not self._opened:
            raise self._absent["train"]
        self.splits = tuple(self._opened)
        classes = getattr(self._opened[self.splits[0]], "classes", None)
        self.class_names = tuple(_shown(entry) for entry in classes) if classes else None

    def split(self, name: str) -> Split:
        """One shard is 1,024 rows."""
        if name not in self._opened:
            reason = f" ({self._absent[name]})" if name in self._absent else ""
            raise DataError(f"{self.name} has no split {name!r}{reason}: got one of {', '.join(self.splits)}")
        dataset = self._opened[name]
        on_disk = len(dataset) > 0 and isinstance(self._row(dataset, 0, name)[0], Path)
        shards = []
        for rows in ranges(len(dataset)):
            samples = partial(self._samples, dataset, rows, name)
            identity = partial(_identity, samples) if on_disk else None
            shards.append(RowShard(f"{name}/{rows.start}-{rows.stop - 1}", samples, self._cache, identity))
        return Split(self.name, name, shards)

    def _row(self, dataset: Any, row: int, split: str) -> tuple[Any, Any]:
        with reading(f"row {row} of {self.name} {split} cannot be read"):
            image, label = dataset[row]
        return image, label

    def _samples(self, dataset: Any, rows: range, split: str) -> Iterator[Sample]:
        from PIL import Image

        labels = LabelRange(len(self.class_names) if self.class_names else None)
        for row in rows:
            where = f"row {row} of {self.name} {split}"
            image, label = self._row(dataset, row, split)
            if not isinstance(label, int | np.integer) or not isinstance(image, Path | Image.Image):
                kinds = f"({type(image).__name__}, {type(label).__name__})"
                raise DataError(
                    f"{where} is not a sample to classify: got {kinds}, expected an image and a class index"
                )
            yield Sample(str(row), image, label=labels.index(int(label), where))


def _identity(samples: Callable[[], Iterator[Sample]]) -> str:
    return files_identity(samples())


def _shown(entry: str | tuple[str, ...]) -> str:
    """ImageNet's entries are tuples of synonyms."""
    return (entry if isinstance(entry, str) else entry[0]).replace("_", " ")


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _constructor(class_name: str, root: Path, download: bool) -> Callable[[tuple[str, ...]], Any]:
    """A function from torchvision's names of a split to its dataset; it raises ValueError where the class has none."""
    from torchvision import datasets

    if class_name not in datasets.__all__:
        hint = nearest(class_name, datasets.__all__)
        raise ConfigError(f"torchvision.datasets has no class {class_name!r}{hint}: expected one such as CIFAR10")
    dataset_class = getattr(datasets, class_name)
    parameters = inspect.signature(dataset_class.__init__).parameters
    if "root" not in parameters or not {"train", "split"} & set(parameters):
        raise ConfigError(
            f"torchvision's {class_name} has no splits: expected a class that takes root and train or split"
        )
    options: dict[str, Any] = {"root": root}
    if "download" in parameters:
        options["download"] = download
    if "loader" in parameters or issubclass(dataset_class, datasets.DatasetFolder):
        options["loader"] = Path  # the image stays a path
    given = {"self", *options, "train" if "train" in parameters else "split"}
    missing = [name for name, parameter in parameters.items() if name not in given and _is_required(parameter)]
    if missing:
        raise ConfigError(
            f"torchvision's {class_name} needs {', '.join(missing)}: expected a class that takes root and splits only"
        )

    def construct(names: tuple[str, ...]) -> Any:
        if "train" in parameters:
            if names[0] == "val":
                raise DataError(f"torchvision's {class_name} has train and test only")
            return dataset_class(train=names[0] == "train", **options)
        for name in names:
            try:
                return dataset_class(split=name, **options)
            except ValueError as error:
                unknown = error
        raise unknown

    return construct
