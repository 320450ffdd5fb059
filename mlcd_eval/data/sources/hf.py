"""Datasets of the Hugging Face library `datasets`: from the hub, a local folder or `save_to_disk`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlcd_eval.data.base import Dataset, Sample, Split
from mlcd_eval.data.class_names import in_words
from mlcd_eval.data.scheme import Options, Source
from mlcd_eval.data.sources.hf_columns import Columns, choose_columns
from mlcd_eval.data.storage.rows import RowShard, files_identity, ranges
from mlcd_eval.errors import ConfigError, DataError, nearest
from mlcd_eval.support.disk_memo import file_identity
from mlcd_eval.support.foreign import reading
from mlcd_eval.support.hub import hub_access

_SPLIT_NAMES = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}  # ours: theirs


class HuggingFaceDatasets(Source):
    """The scheme `hf`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The data set of a hub repository or a folder."""
        return HuggingFaceDataset(address, options, name=name, cache=cache, offline=offline)

    def is_on_network(self, address: str) -> bool:
        """Whether it is no folder on this machine, and does not look like a file."""
        return not (Path(address).expanduser().is_dir() or _is_file_name(address))


class HuggingFaceRows:
    """What is opened of any data set of the library: `_read`, a split of theirs -> its rows, and `_sources`, our splits
    -> theirs. _features: of the columns."""

    def __init__(self, ref: str, options: Options, name: str, cache: Path | None, offline: bool) -> None:
        self.name = name
        self._cache = cache
        self._ref = ref
        self._read, self._features, theirs = open_hf(ref, ref.partition(":")[2], options, offline)
        self._sources = match_splits(ref, options, theirs)
        self.splits: tuple[str, ...] = tuple(self._sources)


class HuggingFaceDataset(HuggingFaceRows):
    """`hf:ORG/NAME`, `hf:FOLDER` or `hf:FILE.parquet`, which is the split test, with the options config, revision,
    split_{train,val,test} (their name of our split) and image, label, text (columns, see `choose_columns`).

    `validation` is called val here. `datasets` downloads or converts what it has not prepared yet, once, into its own
    cache. A split is fingerprinted by its contents, since the `_fingerprint` of `datasets` hashes paths, times and
    transforms: it differs for the same rows. Class names are in words (see `in_words`).
    """

    templates: tuple[str, ...] | None = None

    def __init__(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> None:
        super().__init__(f"hf:{address}", options, name, cache, offline)
        self._columns = choose_columns(self._ref, self._features, options)
        self.kind = self._columns.kind
        names = self._columns.class_names
        self.class_names = in_words(names) if names else None

    def split(self, name: str) -> Split:
        """One shard is 1,024 rows."""
        if name not in self._sources:
            raise DataError(f"{self.name} has no split {name!r}: got one of {', '.join(self.splits)}")
        rows = self._columns.select(self._read(self._sources[name]))
        shards = []
        for part in ranges(len(rows)):
            samples = partial(self._columns.samples, rows, part, f"{self.name} {name}")
            identity = partial(_identity, self._columns, rows, part, samples)
            shards.append(RowShard(f"{name}/{part.start}-{part.stop - 1}", samples, self._cache, identity))
        return Split(self.name, name, shards)


def _identity(columns: Columns, rows: Any, part: range, samples: Callable[[], Iterator[Sample]]) -> str:
    """The Arrow files' identity, with the image files' where Arrow holds only their paths."""
    files = [file_identity(Path(file["filename"])) for file in rows.cache_files]
    images = rows.with_format("arrow")[part.start : part.stop].column(columns.image)
    embedded = all(chunk.field("bytes").null_count == 0 for chunk in images.chunks)
    return f"{files} {part} {columns} {'' if embedded else files_identity(samples())}"


def open_hf(
    ref: str, address: str, options: Options, offline: bool
) -> tuple[Callable[[str], Any], Mapping[str, Any], Sequence[str]]:
    """(reader of a split, features, split names); raises DataError without data. ref: its name in messages."""
    import datasets

    folder = Path(address).expanduser()
    if _is_file_name(address):
        if folder.suffix != ".parquet" or not folder.is_file():
            raise DataError(f"{ref} is no Parquet file on this machine: expected one, a folder, or ORG/NAME of the hub")
        offline = True  # `datasets` would look for its own modules there
    elif not folder.is_dir() and (address.count("/") != 1 or address.startswith((".", "/", "~"))):
        raise DataError(f"there is no dataset folder {address}: expected a folder, or ORG/NAME of the hub")
    with _hub(offline), reading(f"cannot open dataset {ref}"):
        if any((folder / file).is_file() for file in ("dataset_dict.json", "state.json")):
            saved = datasets.load_from_disk(str(folder))
            splits = saved if isinstance(saved, datasets.DatasetDict) else {str(saved.split or "test"): saved}
            return partial(_checked, ref, splits.__getitem__), next(iter(splits.values())).features, list(splits)
        if _is_file_name(address):
            builder = datasets.load_dataset_builder("parquet", data_files={"test": str(folder)})
        else:
            place = str(folder) if folder.is_dir() else address
            builder = datasets.load_dataset_builder(place, options.get("config"), revision=options.get("revision"))
        if builder.info.features is None or builder.info.splits is None:
            builder.download_and_prepare()

    def read(split: str) -> Any:
        with _hub(offline):
            builder.download_and_prepare()  # returns at once where it is prepared
            return builder.as_dataset(split)

    return partial(_checked, ref, read), builder.info.features, list(builder.info.splits)


def _is_file_name(address: str) -> bool:
    """Whether it has the suffix of a data file, which no repository of the hub is asked for."""
    return Path(address).suffix in (".parquet", ".csv", ".tsv", ".json", ".jsonl", ".arrow", ".tar", ".zip")


def _checked(ref: str, read: Callable[[str], Any], split: str) -> Any:
    """The rows of a split, after a check of their offsets: Arrow would follow wrong ones out of the file."""
    with reading(f"cannot read split {split!r} of dataset {ref}"):
        rows = read(split)
        rows.data.validate(full=True)
        return rows.with_format(None)  # a saved one may hide columns


@contextlib.contextmanager
def _hub(offline: bool) -> Iterator[None]:
    """Reach the hub or not: `datasets` has a switch of its own, which it reads at each request."""
    import datasets.config

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or offline
    try:
        with hub_access(offline):
            yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def match_splits(ref: str, options: Options, theirs: Sequence[str]) -> dict[str, str]:
    """Our split -> theirs. A split that an option names has no other role: nothing is tuned on what is tested."""
    taken = {ours: options[f"split_{ours}"] for ours in _SPLIT_NAMES if f"split_{ours}" in options}
    for ours, name in taken.items():
        if name not in theirs:
            raise ConfigError(
                f"{ref} has no split {name!r} for split_{ours}: got one of {', '.join(theirs)}{nearest(name, theirs)}"
            )
    matched = {}
    for ours, names in _SPLIT_NAMES.items():
        free = [name for name in names if name in theirs and name not in taken.values()]
        if ours in taken or free:
            matched[ours] = taken.get(ours) or free[0]
    if not matched:
        raise DataError(f"{ref} has no train, validation or test: got {', '.join(theirs)}, choose one by ?split_test=")
    return matched
