"""From a reference such as `wds:PATH` to a Dataset."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mlcd_eval.data.base import Dataset
from mlcd_eval.errors import ConfigError, nearest


def open_dataset(ref: str, *, cache: Path | None = None, offline: bool = False, name: str | None = None) -> Dataset:
    """Open `KIND:WHERE`, reading metadata only. KIND is wds, imagefolder, hf or torchvision.

    cache: where scans are kept, None for nowhere. name: as in records; by default the last part of WHERE without a
    leading `wds_`. Raises ConfigError on a reference that is not well formed and DataError on what it refers to.
    """
    kind, colon, where = ref.partition(":")
    if kind not in _KINDS or not where:
        problem = f"{kind!r} is no kind of dataset{nearest(kind, _KINDS)}" if colon else "the kind is missing"
        raise ConfigError(
            f"cannot open dataset {ref!r}: {problem}, expected KIND:PATH with KIND one of {', '.join(_KINDS)}"
        )
    return _KINDS[kind](where, name or default_name(where), cache, offline)


def default_name(where: str) -> str:
    """The dataset's name in records: the folder's or repository's, without `wds_`."""
    path = (
        re.sub(r"/tree/[^/]+/?$", "", where.split("?")[0])
        if "://" in where
        else str(Path(where.split("?")[0]).absolute())
    )
    return path.rstrip("/").rsplit("/", 1)[-1].removeprefix("wds_")


def _open_wds(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.location import open_location
    from mlcd_eval.data.webdataset import WebDataset

    return WebDataset(open_location(where, offline=offline), name, cache)


_KINDS: dict[str, Callable[[str, str, Path | None, bool], Dataset]] = {"wds": _open_wds}


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
