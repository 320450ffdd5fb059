"""How well words of known place are read, by the height of their letters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

EDGES = (0, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64, math.inf)
"""Of the intervals of letter heights: pixels of what the encoder sees."""
LEGIBLE = 0.5  # of the words of an interval are read
FEWEST = 20  # words, for an interval to say anything


def curve(heights: Sequence[float], texts: Sequence[str], readings: Sequence[str]) -> list[dict[str, Any]]:
    """Return an entry for each interval of letter heights that has words: its ends in pixels, its words and their
    characters, and of both the shares that are read. Case does not count. A word's characters that are not read are its
    edits, at most its length."""
    entries = []
    for low, high in pairwise(EDGES):
        own = [row for row, height in enumerate(heights) if low <= height < high]
        if own:
            lengths = [len(texts[row]) for row in own]
            edits = [min(_edits(texts[row], readings[row]), len(texts[row])) for row in own]
            entries.append(
                {
                    "from": low,
                    "to": high if high < math.inf else None,
                    "words": len(own),
                    "word_accuracy": edits.count(0) / len(own),
                    "characters": sum(lengths),
                    "character_accuracy": 1 - sum(edits) / sum(lengths),
                }
            )
    return entries


def word_accuracy(entries: Sequence[dict[str, Any]], least: float = 0) -> tuple[float | None, int]:
    """Return the share of words that are read and their number, of letters at least so many pixels high."""
    own = [entry for entry in entries if entry["from"] >= least]
    words = sum(entry["words"] for entry in own)
    return (sum(entry["words"] * entry["word_accuracy"] for entry in own) / words if words else None), words


def character_accuracy(entries: Sequence[dict[str, Any]]) -> float:
    """Return the share of all characters that are read."""
    characters = sum(entry["characters"] for entry in entries)
    return sum(entry["characters"] * entry["character_accuracy"] for entry in entries) / characters


def smallest_legible(entries: Sequence[dict[str, Any]]) -> float | None:
    """Return the lower end of the lowest interval of at least FEWEST words of which LEGIBLE are read, None without
    one."""
    legible = [e["from"] for e in entries if e["words"] >= FEWEST and e["word_accuracy"] >= LEGIBLE]
    return min(legible, default=None)


def _edits(text: str, reading: str) -> int:
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(text.lower(), reading.lower())
