"""Schemes of one file that describes what is made when it is read, known by its suffix."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from mlcd_eval.data.scheme import DataFacts, Source, names_of
from mlcd_eval.data.sources.table import existing_file
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.json_file import read_json, validated_json


class Plan(BaseModel):
    """What such a file holds, at least. of: a folder beside it; split: of that folder's data."""

    model_config = ConfigDict(extra="forbid")

    of: str
    split: str = "test"


P = TypeVar("P", bound=Plan)


def read_plan(kind: type[P], address: str) -> tuple[Path, P]:
    """A file and its plan; raises DataError for a file that is missing or holds another one, or a folder elsewhere."""
    path = existing_file(address)
    plan: P = validated_json(kind, read_json(path), path)
    check_below(path.parent, plan.of, path)
    return path, plan


class PlanFiles(Source):
    """A scheme of files NAME and a suffix, such as `.views.json`."""

    suffix: ClassVar[str]

    def default_name(self, address: str) -> str:
        """The file's name without its suffixes."""
        return Path(address).name.removesuffix(self.suffix)

    def find(self, root: Path, facts: DataFacts, split: str | None) -> str | None:
        """The file of the data set's name."""
        files = (root / f"{name}{self.suffix}" for name in names_of(facts))
        return next((str(file) for file in files if file.is_file()), None)

    def discover(self, root: Path) -> list[str]:
        """The files directly in the root."""
        return [str(file) for file in root.glob(f"*{self.suffix}")]
