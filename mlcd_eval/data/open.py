"""From a reference such as `wds:PATH` to a Dataset."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

from mlcd_eval.data.base import Dataset
from mlcd_eval.errors import ConfigError, DataError, nearest

HF_SPLITS = ("split_train", "split_val", "split_test")


def open_dataset(ref: str, *, cache: Path | None = None, offline: bool = False, name: str | None = None) -> Dataset:
    """Open `KIND:WHERE`, reading metadata only. KIND is wds, imagefolder, hf, hf-vqa, torchvision, refer or docvqa.

    cache: where scans are kept, None for nowhere. name: as in records; by default see `default_name`. Raises
    ConfigError on a reference that is not well formed and DataError on what it refers to.
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
    return _KINDS[kind](where, name or default_name(ref), cache, offline)


def default_name(ref: str) -> str:
    """The dataset's name in records: the folder's or repository's, without `wds_`; NAME_SPLIT for refer; for docvqa the
    file's folder and the beginning of its name."""
    kind, _, where = ref.partition(":")
    if kind == "refer":
        _, folder, _, only = refer_parts(where)
        return f"{folder}_{only}" if only else folder
    if kind == "docvqa":
        file = Path(where.partition("?")[0]).absolute()
        return f"{file.parent.name}_{re.split(r'_v[0-9]', file.stem)[0]}"
    path = where.partition("?")[0]
    path = re.sub(r"/tree/[^/]+/?$", "", path) if "://" in path else str(Path(path).absolute())
    return path.rstrip("/").rsplit("/", 1)[-1].removeprefix("wds_")


def _open_wds(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.sources.wds import WebDataset
    from mlcd_eval.data.storage.location import open_location

    return WebDataset(open_location(where, offline=offline), name, cache)


def _open_imagefolder(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.sources.imagefolder import ImageFolder

    return ImageFolder(Path(where).expanduser(), name, cache)


def refer_parts(where: str) -> tuple[Path, str, str, str | None]:
    """ROOT/NAME/splitBy or ROOT/NAME/splitBy/split as (root, name, split_by, split)."""
    path = Path(where).expanduser()
    if len(path.parts) >= 4 and not (path.parent / f"refs({path.name}).p").is_file():
        return path.parents[2], path.parts[-3], path.parts[-2], path.parts[-1]
    if len(path.parts) < 3:
        raise ConfigError(f"dataset refer:{where} is too short: expected refer:ROOT/NAME/splitBy/split")
    return path.parents[1], path.parts[-2], path.parts[-1], None


def _open_refer(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.sources.refer import ReferDataset

    root, folder, split_by, only = refer_parts(where)
    return ReferDataset(root, folder, split_by, only, name, cache)


def _open_docvqa(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.sources.docvqa import DocVQADataset

    file, options = _options(f"docvqa:{where}", where, ("images",))
    folder = Path(options["images"]).expanduser() if "images" in options else None
    return DocVQADataset(Path(file).expanduser(), folder, name, cache)


def _open_hf(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.sources.hf import HuggingFaceDataset

    path, options = _options(f"hf:{where}", where, ("config", "revision", "image", "label", "text", *HF_SPLITS))
    return HuggingFaceDataset(path, options, name=name, cache=cache, offline=offline)


def _open_hf_vqa(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.sources.hf_questions import HuggingFaceQuestions

    path, options = _options(f"hf-vqa:{where}", where, ("config", "revision", *HF_SPLITS))
    return HuggingFaceQuestions(path, options, name=name, cache=cache, offline=offline)


def _open_torchvision(where: str, name: str, cache: Path | None, offline: bool) -> Dataset:
    from mlcd_eval.data.sources.torchvision import TorchvisionDataset

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
    "refer": _open_refer,
    "docvqa": _open_docvqa,
    "hf-vqa": _open_hf_vqa,
}


def discover(root: Path) -> list[tuple[str, str]]:
    """(name, ref) of each clip-benchmark folder directly below `root`, of refer data sets in `root` or
    `root/refer`, and of DocVQA files one folder down; sorted by name."""
    folders = [path.parent.parent for split in ("train", "test") for path in root.glob(f"*/{split}/nshards.txt")]
    refs = [f"wds:{folder}" for folder in set(folders)]
    for path in (path for base in (root, root / "refer") for path in base.glob("*/refs(*).p")):
        refs.append(f"refer:{path.parent}/{path.name.removeprefix('refs(').removesuffix(').p')}")
    refs += [f"docvqa:{path}" for path in root.glob("*/*_v1.0*.json")]
    return sorted((default_name(ref), ref) for ref in refs)


def find_refer(root: Path, name: str, split_by: str) -> str | None:
    """The ref of RefCOCO-like data in `root` or `root/refer`, None where it is not there."""
    for base in (root, root / "refer"):
        if (base / name / f"refs({split_by}).p").is_file():
            return f"refer:{base / name / split_by}"
    return None


DOCVQA_FILES = {"docvqa": ("spdocvqa_qas", ""), "infovqa": ("infographicsvqa_qas", "infographicsVQA_")}
"""Data set -> the folder in which its annotations are handed out, and how their names begin."""


def find_docvqa(root: Path, name: str, split: str) -> str | None:
    """The ref of the annotations of a split in `root/name`, those of DOCVQA_FILES also in their folder or in `root`
    itself; with question types where both exist."""
    places = [(root / name, "*")]
    if name in DOCVQA_FILES:
        folder, begin = DOCVQA_FILES[name]
        places += [(root / folder, begin), (root, begin)]
    for place, begin in places:
        files = sorted(
            place.glob(f"{begin}{split}_v1.0*.json"), key=lambda file: ("withQT" not in file.name, file.name)
        )
        if files:
            return f"docvqa:{files[0]}"
    return None


def find(root: Path, names: list[str]) -> str | None:
    """The ref of the first clip-benchmark folder below `root` that bears one of the names, None where there is none.

    A name such as `vtab/cifar10` is looked for as that path, and as `vtab-cifar10`, each also with `wds_` before it.
    """
    for name in names:
        flat = name.replace("/", "-")
        for folder in dict.fromkeys((root / name, root / f"wds_{name}", root / flat, root / f"wds_{flat}")):
            if folder.is_dir() and any(
                (folder / split / "nshards.txt").is_file() for split in ("train", "val", "test")
            ):
                return f"wds:{folder}"
    return None
