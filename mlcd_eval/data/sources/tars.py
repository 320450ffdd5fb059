"""Tar files of samples as img2dataset and webdataset's users write them: no list of shards, no split folders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from mlcd_eval.data.base import Dataset, Kind, Split
from mlcd_eval.data.prompts import read_class_names, read_templates
from mlcd_eval.data.scheme import DataFacts, Options, Source, folder_of
from mlcd_eval.data.sources.wds import TarShard, location_of
from mlcd_eval.data.storage.location import Location, is_web_address
from mlcd_eval.data.storage.tar import Captions, HashingReader, grouped_files
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import parse_json

PATTERN_MARKS = frozenset("*?[]{}")


class TarFiles(Source):
    """The scheme `tars`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The samples of all tar files of a glob, of braces, or at web addresses."""
        files = _files(address, offline)
        return TarSet(address, files, options.get("split", "test"), options.get("captions"), name, cache)

    def default_name(self, address: str) -> str:
        """The file's name without its suffix; the folder's where that is a pattern or a number."""
        name = address.rpartition("/")[2].removesuffix(".tar")
        is_name = name and not name.isdigit() and not PATTERN_MARKS & set(name)
        folder = address.rpartition("/")[0] or str(Path.cwd())
        return name if is_name else super().default_name(folder)

    def is_on_network(self, address: str) -> bool:
        """Whether it is a web address."""
        return is_web_address(address)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The tar files in the folder called by the data set's name."""
        folder = folder_of(root, facts, _has_tars)
        return folder and f"{folder}/*.tar"

    def discover(self, root: Path) -> list[str]:
        """The tar files of every folder directly below the root that has some."""
        return [f"{folder}/*.tar" for folder in root.glob("*") if _has_tars(folder)]


def _has_tars(folder: Path) -> bool:
    return not (folder / "nshards.txt").exists() and any(folder.glob("*.tar"))


def _files(address: str, offline: bool) -> list[tuple[Location, str]]:
    """The folder and name of each tar file, in the order of braces, those of a glob sorted."""
    from braceexpand import braceexpand

    places: dict[str, Location] = {}
    files = []
    for pattern in braceexpand(address):
        for path in [pattern] if is_web_address(pattern) else local_tars(pattern, address):
            folder, name = split_path(path)
            if folder not in places:
                places[folder] = location_of(folder, offline=offline)
            files.append((places[folder], name))
    return files


def split_path(path: str) -> tuple[str, str]:
    """Return the folder and the name of a file, given its path or address."""
    folder, _, name = path.rpartition("/")
    return folder or ("/" if path.startswith("/") else "."), name


def local_tars(pattern: str, address: str) -> list[str]:
    """Return the local files that a pattern of `tars:address` means: a file, those of a folder, or of a glob, sorted.

    Raises DataError without any.
    """
    path = Path(pattern).expanduser()
    path = path / "*.tar" if path.is_dir() else path
    top = Path(path.anchor)
    paths = [str(path)] if path.is_file() else sorted(map(str, top.glob(str(path.relative_to(top)))))
    if not paths:
        raise DataError(f"there is no file {pattern} of tars:{address}: expected tar files")
    return paths


class TarSet:
    """Tar files as the shards of one split.

    captions: where they are, `none` to leave them out, None to go by the first sample: with .cls the data is for
    classification, with .txt, or .json that has a caption, for retrieval, else it is images. Class names and templates
    are those of classnames.txt and zeroshot_classification_templates.txt beside the first file.
    """

    def __init__(
        self,
        address: str,
        files: Sequence[tuple[Location, str]],
        split: str,
        captions: str | None,
        name: str,
        cache: Path | None,
    ) -> None:
        self.name, self._files, self._cache = name, files, cache
        self.splits: tuple[str, ...] = (split,)
        self.kind, self._captions = _kind(files[0], captions, address)
        is_labelled = self.kind == "classification"
        self.class_names = read_class_names(files[0][0]) if is_labelled else None
        self.templates = read_templates(files[0][0]) if is_labelled else None

    def split(self, name: str) -> Split:
        """One shard is one file."""
        if name not in self.splits:
            raise DataError(f"{self.name} has no split {name!r}: got {self.splits[0]}, choose another by ?split={name}")
        shards = [TarShard(place, file, self.kind, self._cache, self._captions) for place, file in self._files]
        return Split(self.name, name, shards)


def _kind(first: tuple[Location, str], captions: str | None, address: str) -> tuple[Kind, Captions]:
    """The kind of data, and where captions are."""
    place, file = first
    with place.open(file) as stream:
        samples = list(islice(grouped_files(HashingReader(stream), place.path(file)), 1))
    if not samples:
        raise DataError(f"{place.path(file)} of tars:{address} holds no sample: expected images")
    [(_, files)] = samples
    if captions == "none":
        return "images", "txt"
    if captions in ("txt", "json"):
        return "retrieval", "json" if captions == "json" else "txt"
    if "cls" in files:
        return "classification", "txt"
    if "txt" in files:
        return "retrieval", "txt"
    return ("retrieval", "json") if _has_caption(files.get("json", b"")) else ("images", "txt")


def _has_caption(contents: bytes) -> bool:
    try:
        values = parse_json(contents)
    except ValueError:
        return False
    return isinstance(values, dict) and isinstance(values.get("caption"), str)
