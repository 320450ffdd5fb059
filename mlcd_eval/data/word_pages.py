"""Rendered pages of words of a small vocabulary, by which an encoder's patches are asked which word stands where.

Every word's ink is drawn as wide as the others' of its height, so that a box says nothing of its word. Each split has
typefaces of its own. Seeded: the pages are the same wherever Pillow draws the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlcd_eval.data.lettering import FACES, Face, Typewriter, line_height
from mlcd_eval.data.rendered import INKS, PAPERS

if TYPE_CHECKING:
    from PIL import Image

VERSION = 1
SMALLEST, LARGEST = 12, 96
"""Height of a capital, in pixels of a page."""
ASPECT = 3.6
"""Width of a word, in heights of a capital: about what five letters take."""
MARGIN = 8

_UPRIGHT = FACES[0]
FACES_OF: Mapping[str, Sequence[Face | Typewriter]] = {
    "train": [face for face in FACES if face.name in ("regular", "bold", "italic", "typewriter")],
    "val": [Face("medium italic", _UPRIGHT.load, _UPRIGHT.capital, bold=0.05, slant=0.12)],
    "test": [
        Face("steep italic", _UPRIGHT.load, _UPRIGHT.capital, slant=0.34),
        Face("heavy", _UPRIGHT.load, _UPRIGHT.capital, bold=0.11),
        Face("bold italic", _UPRIGHT.load, _UPRIGHT.capital, bold=0.07, slant=0.15),
    ],
}
"""Split -> its typefaces."""


class Printed(NamedTuple):
    """A word on a page. left, top: the corner of its box, in pixels; capital: the height of a capital."""

    text: str
    face: int
    capital: int
    left: int
    top: int

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        width, height = size_of(self.capital)
        return (float(self.left), float(self.top), float(self.left + width), float(self.top + height))


def size_of(capital: int) -> tuple[int, int]:
    """Return the width and height of a word's box."""
    return round(ASPECT * capital), line_height(capital)


def layout(words: Sequence[str], split: str, number: int, side: int) -> list[Printed]:
    """Return the words of a page of side x side pixels, line by line. Small letters are as rare, by area, as large."""
    chance = random.Random(f"{VERSION} {split} {number} {' '.join(words)}")
    placed: list[Printed] = []
    top, largest = MARGIN, min(LARGEST, int((side - 6 * MARGIN) / ASPECT))
    while top + line_height(SMALLEST) <= side - MARGIN:
        capital = round(1 / chance.uniform(1 / largest, 1 / SMALLEST))
        if top + line_height(capital) > side - MARGIN:
            capital = SMALLEST
        left = chance.randrange(MARGIN, 5 * MARGIN)
        while left + size_of(capital)[0] <= side - MARGIN:
            face = chance.randrange(len(FACES_OF[split]))
            placed.append(Printed(chance.choice(words), face, capital, left, top))
            left += size_of(capital)[0] + round(capital * chance.uniform(0.35, 2))
        top += line_height(capital) + round(capital * chance.uniform(0.05, 0.5))
    return placed


def page(words: Sequence[str], split: str, number: int, side: int) -> Image.Image:
    """Return a page, on paper and with ink in colours that its number decides."""
    from PIL import Image

    ink = np.zeros((side, side), np.uint8)
    for word in layout(words, split, number, side):
        letters = np.asarray(_letters(word.text, split, word.face).resize(size_of(word.capital)))
        part = ink[word.top : word.top + letters.shape[0], word.left : word.left + letters.shape[1]]
        np.maximum(part, letters, out=part)
    chance = random.Random(f"{VERSION} colours {split} {number}")
    paper, letters_in = chance.choice(PAPERS), chance.choice(INKS)
    ground, colour = (Image.new("RGB", (side, side), each) for each in (paper, letters_in))
    return Image.composite(colour, ground, Image.fromarray(ink))


@lru_cache(maxsize=1024)
def _letters(text: str, split: str, face: int) -> Image.Image:
    """A word's ink as large as it is ever drawn, without what is blank on its left and right."""
    from PIL import Image

    drawn = FACES_OF[split][face].mask(text, LARGEST)
    (columns,) = np.nonzero(drawn.max(axis=0))
    return Image.fromarray(drawn[:, columns.min() : columns.max() + 1])
