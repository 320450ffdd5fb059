"""What class folders and labels in words mean: the order of the classes, and the words that a prompt uses for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from mlcd_eval.data import prompts

WORDNET_ID = re.compile(r"n\d{8}")
WORDNET_IDS = Path(__file__).with_name("imagenet_wordnet_ids.txt")
"""The WordNet ids of the 1,000 classes of ImageNet (ILSVRC 2012), one per line, in the order of the classes."""


def in_class_order(names: Iterable[str]) -> list[str]:
    """The names in numeric order if all of them are numbers (9 before 10), else sorted as text."""
    names = list(names)
    return sorted(names, key=int) if all(map(_is_number, names)) else sorted(names)


def in_words(names: Iterable[str]) -> tuple[str, ...]:
    """The names for prompts: ImageNet's name for the WordNet id of one of its classes, else spaces for underscores."""
    names = list(names)
    known = _imagenet_names() if any(map(WORDNET_ID.fullmatch, names)) else {}
    return tuple(known.get(name) or name.replace("_", " ") for name in names)


def identifiers(names: Sequence[str]) -> list[str]:
    """Those names that no caption would use: WordNet ids, and more numbers than there are digits."""
    numbers = [name for name in names if _is_number(name)]
    return [name for name in names if WORDNET_ID.fullmatch(name)] + (numbers if len(numbers) > 10 else [])


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


@cache
def _imagenet_names() -> dict[str, str]:
    ids = WORDNET_IDS.read_text(encoding="ascii").split()
    return dict(zip(ids, prompts.class_names("imagenet1k"), strict=True))
