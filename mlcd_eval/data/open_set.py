"""A data set with the images of another one beside it, whose classes it does not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mlcd_eval.data.base import Dataset, LabelledDataset, Sample, Shard, ShardScan, Split, groups_of
from mlcd_eval.errors import DataError

OPEN_SET = "ood"
"""The split of the other data set's images."""


class WithOpenSet:
    """A data set with one more split: the images of another one's test split, else of its last one.

    Raises DataError for a data set that has a split of this name.
    """

    def __init__(self, dataset: Dataset, other: Dataset) -> None:
        if OPEN_SET in dataset.splits:
            raise DataError(f"{dataset.name} has a split {OPEN_SET!r} of its own: expected none beside the setting ood")
        self.name, self.kind = dataset.name, dataset.kind
        self.class_names, self.templates = dataset.class_names, dataset.templates
        self.num_classes = dataset.num_classes if isinstance(dataset, LabelledDataset) else None
        self.splits = (*dataset.splits, OPEN_SET)
        self._dataset = dataset
        others = other.split("test" if "test" in other.splits else other.splits[-1])
        self._open_set = Split(others.dataset, others.name, [_Unlabelled(shard) for shard in others.shards])

    def split(self, name: str) -> Split:
        """The split; raises DataError for an unknown one."""
        return self._open_set if name == OPEN_SET else self._dataset.split(name)

    def groups(self, split: str) -> Mapping[str, str]:
        """Those of the data set itself."""
        return groups_of(self._dataset, split)


class _Unlabelled:
    """A shard whose labels are of another data set's classes, and mean nothing here."""

    def __init__(self, shard: Shard) -> None:
        self.name, self._shard = shard.name, shard

    def scan(self) -> ShardScan:
        return replace(self._shard.scan(), num_classes=None)

    def samples(self) -> Iterator[Sample]:
        return self._shard.samples()
