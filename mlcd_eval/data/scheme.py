"""What a data scheme is: a row of facts that is cheap to list, and a Source that opens, names and finds its data."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from mlcd_eval.data.base import Dataset, Kind

Options = Mapping[str, str]
"""The options of a reference, `?NAME=VALUE&NAME=VALUE`, checked against the scheme's row."""


class DataFacts(Protocol):
    """What a task says of its data before it is opened; a DatasetSpec is one."""

    @property
    def name(self) -> str:
        """The name in records and under a data root."""

    @property
    def kind(self) -> Kind | None:
        """The kind, None where the task does not say it."""

    @property
    def hub(self) -> str | None:
        """The repository of its copy on the hub."""

    @property
    def split_by(self) -> str | None:
        """The author of the splits of a refer data set."""


class Source:
    """The code behind a scheme. An address is what follows the scheme in a reference, without its options."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """Open the data, reading metadata only.

        name: of the data set in records. cache: folder of scans, None to keep none. Raises DataError for data that is
        missing or damaged, and where offline forbids what it needs.
        """
        raise NotImplementedError

    def default_name(self, address: str) -> str:
        """The folder's or repository's name, without `wds_` before it."""
        path = address.partition("?")[0]
        path = re.sub(r"/tree/[^/]+/?$", "", path) if "://" in path else str(Path(path).absolute())
        return path.rstrip("/").rsplit("/", 1)[-1].removeprefix("wds_")

    def is_on_network(self, address: str) -> bool:
        """Whether its files are on the network, so that an offline run cannot open it."""
        return False

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The address of a known data set below a data root, None where it is not there.

        split: the one that will be scored, for data of which every split is a file of its own; None if not known.
        """
        return None

    def discover(self, root: Path) -> list[str]:
        """The addresses of all data of this scheme below a data root, in any order."""
        return []

    def is_copy_of(self, address: str, facts: DataFacts) -> bool:
        """Whether the address alone shows that it is this known data set, split as that is."""
        return False


def names_of(facts: DataFacts) -> list[str]:
    """What a known data set may be called below a data root: by its name or its hub repository's; a name such as
    `vtab/cifar10` is that path, or `vtab-cifar10`, and each may have `wds_` before it. DataComp's download calls its
    copies as clip-benchmark's, with `_test` at the end."""
    hub = [facts.hub.rpartition("/")[2]] if facts.hub else []
    names = [facts.name, *hub, *(f"{name}_test" for name in hub)]
    flat = {name: name.replace("/", "-") for name in names}
    return [form for name in names for form in (name, f"wds_{name}", flat[name], f"wds_{flat[name]}")]


def folder_of(root: Path, facts: DataFacts, has_layout: Callable[[Path], bool]) -> str | None:
    """The first folder below a data root that is called like a known data set, whatever its case, and has a layout."""
    written = {path.name.lower(): path for path in root.iterdir()} if root.is_dir() else {}
    names = [name for name in names_of(facts) if name.partition("/")[0].lower() in written]
    others = [written[name.lower()] for name in names if name.lower() in written]
    return next((str(path) for path in [*(root / name for name in names), *others] if has_layout(path)), None)


class FolderSource(Source):
    """The code behind a scheme of folders that are recognised by what is in them."""

    def has_layout(self, folder: Path) -> bool:
        """Whether a folder is one of these."""
        raise NotImplementedError

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The folder called by the data set's name, see `names_of`, that has the layout."""
        return folder_of(root, facts, self.has_layout)

    def discover(self, root: Path) -> list[str]:
        """The folders directly below the root that have the layout."""
        return [str(folder) for folder in root.glob("*") if self.has_layout(folder)]


@dataclass(frozen=True)
class SchemeOption:
    """An option of a reference. pattern: regular expression that the whole value matches."""

    name: str
    pattern: str
    help: str
    required: bool = False


@dataclass(frozen=True)
class DataScheme:
    """One row: what `--help`, `ls datasets`, messages and the planner know of a scheme without importing its code.

    source: MODULE:CLASS of its Source. form: how a reference is written, such as `wds:PATH|URL`. kinds: the kinds of
    data that it can hold. package: what must be importable to open it, None for nothing beyond this package's own
    dependencies; extra: the extra of mlcd-eval that installs that. is_slow: opening loads or converts the data.
    root_option: the option that takes the data root where a reference does not set it. splits_are_tasks: an address
    may end in /SPLIT, which alone is then scored, so that each split is a task of its own.
    """

    name: str
    source: str
    form: str
    help: str
    kinds: tuple[Kind, ...]
    options: tuple[SchemeOption, ...] = ()
    package: str | None = None
    extra: str | None = None
    is_slow: bool = False
    root_option: str | None = None
    splits_are_tasks: bool = False

    @cached_property
    def code(self) -> Source:
        """Its Source, imported when it is first asked for."""
        return pkgutil.resolve_name(self.source)()
