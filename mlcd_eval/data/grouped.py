"""A data set whose samples have numbers beside their labels, one of which says to which group each belongs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from mlcd_eval.data.base import Dataset, LabelledDataset, Split


@runtime_checkable
class MetadataDataset(Dataset, Protocol):
    """A data set whose samples have a vector of numbers each, as WILDS' metadata."""

    def metadata(self, split: str, entry: int) -> Mapping[str, int]:
        """Key -> one entry of every sample of a split. Raises DataError for a sample without it."""


class WithGroups:
    """A data set whose groups are an entry of its metadata."""

    def __init__(self, dataset: MetadataDataset, entry: int) -> None:
        self.name, self.kind, self.splits = dataset.name, dataset.kind, dataset.splits
        self.class_names, self.templates = dataset.class_names, dataset.templates
        self.num_classes = dataset.num_classes if isinstance(dataset, LabelledDataset) else None
        self._dataset, self._entry = dataset, entry

    def split(self, name: str) -> Split:
        """The split; raises DataError for an unknown one."""
        return self._dataset.split(name)

    def groups(self, split: str) -> Mapping[str, str]:
        """Key -> group of every sample of a split, which is called by its number."""
        return {key: str(number) for key, number in self._dataset.metadata(split, self._entry).items()}
