"""Schemes of one file that describes what is made when it is read, known by its suffix."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mlcd_eval.data.scheme import DataFacts, Source, names_of


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
