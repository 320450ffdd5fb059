"""A published number, and the tables that hold them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mlcd_eval.tables.published.dialect import NOT_STATED, Dialect
from mlcd_eval.tables.published.models import Model

PRINTED_MEAN = "mean"
"""The metric of a source's column of averages, which a leaderboard computes itself."""


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One number of one table, as printed.

    group: the name of its table here. paper, paper_url, paper_date: the document that it comes from; commit: the
    document's revision; licence: of the collection. source: who measured it, where that is not the paper itself.
    printed_in: the document that prints it. column: its heading there. task: the task of this package, where there is
    one; metric: as records name it. value: in `unit` (percent, fraction or points), printed with `decimals`.
    experiments: the values that it is the mean of, where they are known. identity: the model, where it is certain
    which weights the row has. chance: the value of a model that guesses.
    """

    group: str
    paper: str
    paper_url: str
    paper_date: str | None
    printed_in: str
    table: str
    setting: str
    model: str
    architecture: str | None
    pretraining: str | None
    source: str | None
    column: str
    protocol: str
    dataset: str
    task: str | None
    metric: str
    value: float
    unit: str
    decimals: int
    dialect: Dialect = NOT_STATED
    identity: Model | None = None
    commit: str | None = None
    licence: str | None = None
    experiments: tuple[float, ...] = ()
    chance: float | None = None
    higher_is_better: bool = True

    @property
    def label(self) -> str:
        """The row's name in a table, such as `CLIP ViT-L/14, WIT-400M (reported in the CLIP paper)`."""
        return row_label(self.model, self.architecture, self.pretraining, self.source)

    @property
    def fraction(self) -> float | None:
        """The value as records hold it; None for points."""
        return {"fraction": self.value, "percent": self.value / 100}.get(self.unit)

    @property
    def place(self) -> str:
        """The task of this package, else `PROTOCOL/DATA SET`."""
        return self.task or f"{self.protocol}/{self.dataset}"


def row_label(model: str, architecture: str | None, pretraining: str | None, source: str | None) -> str:
    """See `PublishedNumber.label`."""
    data = f", {pretraining}" if pretraining else ""
    return " ".join(filter(None, (model, architecture))) + data + (f" ({source})" if source else "")


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table, before its values are read. names: what a user may call it, the label among them."""

    label: str
    model: str
    names: tuple[str, ...]


class Table(ABC):
    """A table as it was printed, which reads its values when they are asked for. source: whose it is; notes: where
    sources disagree."""

    group: str
    source: str
    title: str
    table: str
    printed_in: str
    setting: str
    notes: str | None

    @property
    @abstractmethod
    def size(self) -> int:
        """How many numbers it holds."""

    @property
    @abstractmethod
    def places(self) -> frozenset[str]:
        """The `place` of each of its columns."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """The headings in the table's order."""

    @property
    @abstractmethod
    def rows(self) -> Sequence[PublishedRow]:
        """The rows in the table's order."""

    @abstractmethod
    def numbers(
        self, row: Callable[[PublishedRow], bool] | None = None, place: Callable[[str], bool] | None = None
    ) -> Iterator[PublishedNumber]:
        """The numbers of the rows and places for which the functions are true; None for all."""
