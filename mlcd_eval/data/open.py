"""From a reference such as `wds:PATH` to a Dataset."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

from mlcd_eval.data.base import Dataset
from mlcd_eval.errors import ConfigError, DataError, nearest


def open_dataset(ref: str, *, cache: Path | None = None, offline: bool = False, name: str | None = None) -> Dataset:
    """Open `KIND:WHERE`, reading metadata only. KIND is wds, imagefolder, hf or torchvision.

    cache: where scans are kept, None for nowhere. name: as in records; by default the last part of WHERE without a
    leading `wds_`. Raises ConfigError on a reference that is not well formed and DataError on what it refers to.
    """
    kind, colon, where = ref.partition(":")
    if kind not in _KINDS or not where:
        problem = (
            f"unknown kind {kind!r}{nearest(kind, _KINDS)}"
            if colon and kind not in _KINDS
            else "kind or path is missing"
        )
        raise ConfigError(
            f"dataset {ref!r} cannot be opened, {problem}: expected KIND:PATH with KIND one of {', '.join(_KINDS)}"
        )
    return _KINDS[kind](where, name or default_name(where), cache, offline)


def default_name(where: str) -> str:
    """The dataset's name in records: the folder's or repository's, without `wds_`."""
    path = where.partition("?")[0]
    path = re.sub(r"/tree/[^/]+/?$", "", path) if "://" in path else str(Path(path).absolute())
    return path.rstrip("/").rsplit("/", 1)[-1].removeprefix("wds_")


def _open_wds(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.location import open_location
    from mlcd_eval.data.webdataset import WebDataset

    return WebDataset(open_location(where, offline=offline), name, cache)


def _open_imagefolder(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.imagefolder import ImageFolder

    return ImageFolder(Path(where).expanduser(), name, cache)


def _open_hf(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.hf import HuggingFaceDataset

    valid = ("config", "revision", "image", "label", "text", "split_train", "split_val", "split_test")
    path, options = _options(f"hf:{where}", where, valid)
    return HuggingFaceDataset(path, options, name=name, cache=cache, offline=offline)


def _open_torchvision(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.torchvision_datasets import TorchvisionDataset

    class_name, options = _options(f"torchvision:{where}", where, ("root", "download"))
    if "root" not in options:
        raise ConfigError(
            f"torchvision:{where} does not say where its files are: expected torchvision:{class_name}?root=DIR"
        )
    download = options.get("download", "false")
    if download not in ("true", "false"):
        raise ConfigError(f"torchvision:{where} has download={download}: expected true or false")
    if download == "true" and offline:
        raise DataError(f"torchvision:{where} asks for a download, and this run is offline")
    root = Path(options["root"]).expanduser()
    return TorchvisionDataset(class_name, root, download=download == "true", name=name, cache=cache)


def _options(ref: str, where: str, valid: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """PATH?name=value&... as (PATH, {name: value})."""
    path, _, query = where.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    for option, value in options.items():
        if option not in valid or not value:
            problem = f"no value of {option}" if option in valid else f"the option {option!r}{nearest(option, valid)}"
            raise ConfigError(f"dataset {ref} has {problem}: expected NAME=VALUE with NAME one of {', '.join(valid)}")
    return path, options


_KINDS: dict[str, Callable[[str, str, Path | None, bool], Dataset]] = {
    "wds": _open_wds,
    "imagefolder": _open_imagefolder,
    "hf": _open_hf,
    "torchvision": _open_torchvision,
}


def discover(root: Path) -> list[tuple[str, str]]:
    """(name, ref) of each clip-benchmark folder directly below `root`, sorted by name."""
    folders = [path.parent.parent for split in ("train", "test") for path in root.glob(f"*/{split}/nshards.txt")]
    return sorted((default_name(str(folder)), f"wds:{folder}") for folder in set(folders))


def find(root: Path, names: list[str]) -> str | None:
    """The ref of the first clip-benchmark folder below `root` that bears one of the names, None where there is none.

    A name such as `vtab/cifar10` is looked for as that path, and as `vtab-cifar10`, each also with `wds_` before it.
    """
    for name in names:
        flat = name.replace("/", "-")
        for folder in dict.fromkeys((root / name, root / f"wds_{name}", root / flat, root / f"wds_{flat}")):
            if any((folder / split / "nshards.txt").is_file() for split in ("train", "val", "test")):
                return f"wds:{folder}"
    return None
