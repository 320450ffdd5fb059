"""What planning/locate.py still asks for; to be removed when it reads the rows of data/kinds.py."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mlcd_eval.data.base import Kind
from mlcd_eval.data.open import find_dataset


class _Facts(NamedTuple):
    name: str
    kind: Kind
    hub: str | None = None
    split_by: str | None = None


def find(root: Path, names: list[str]) -> str | None:
    """The first folder in clip-benchmark's layout."""
    refs = (find_dataset(root, _Facts(name, "classification")) for name in names)
    return next((ref for ref in refs if ref), None)


def find_refer(root: Path, name: str, split_by: str) -> str | None:
    """A data set in the refer layout."""
    return find_dataset(root, _Facts(name, "refer", split_by=split_by))


def find_docvqa(root: Path, name: str, split: str) -> str | None:
    """The annotations of a split."""
    return find_dataset(root, _Facts(name, "docvqa"), split)


def refer_parts(where: str) -> tuple[Path, str, str, str | None]:
    """(root, name, split_by, split)."""
    from mlcd_eval.data.sources.refer import parse_address

    return parse_address(where)
