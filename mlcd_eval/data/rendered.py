"""Rendered pages of words whose text, place and height are known: what the reading probe learns from and is measured
on.

Seeded: the pages are the same wherever Pillow draws the same. Lines of large letters are rarer than lines of small
ones, so that each octave of heights gets about the same area of a page.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlcd_eval.data.annotations import Word
from mlcd_eval.data.base import Sample, Split
from mlcd_eval.data.lettering import FACES, Face, Typewriter, line_height, some_word
from mlcd_eval.data.storage.rows import RowShard

if TYPE_CHECKING:
    from PIL import Image

VERSION = 2
RENDERED = "rendered"
"""The name of the split, which every data set of questions about pages has besides its own."""
PAGES, SIDE = 160, 896
SMALLEST, LARGEST = 8, 160  # height of a capital, in pixels of a page
MARGIN = 8
PAPERS = ((255, 255, 255), (250, 248, 240), (238, 238, 238), (255, 250, 225))
INKS = ((0, 0, 0), (0, 0, 0), (20, 20, 90), (70, 70, 70), (90, 20, 20))


@dataclass(frozen=True, slots=True)
class Placed:
    """A word on a page. x, y: the upper left corner of its box; capital: the height of a capital, in pixels."""

    text: str
    face: Face | Typewriter
    capital: int
    x: int
    y: int
    width: int


def pages() -> Iterator[Sample]:
    """The pages, in order."""
    for number in range(PAGES):
        yield Sample(key_of(number), coloured(number, ink(key_of(number))))


def split(dataset: str, cache: Path | None) -> Split:
    """The pages as a split of a data set."""
    import PIL

    version = f"rendered pages {VERSION} {PAGES} {PIL.__version__}"
    return Split(dataset, RENDERED, [RowShard(RENDERED, pages, cache, lambda: version)])


@lru_cache(maxsize=1)
def words() -> Sequence[Word]:
    """Every word of every page."""
    return [
        Word(
            image=key_of(number),
            text=word.text,
            box=tuple(
                edge / SIDE for edge in (word.x, word.y, word.x + word.width, word.y + line_height(word.capital))
            ),
            letter_height=word.capital / SIDE,
        )
        for number in range(PAGES)
        for word in layout(random.Random(f"{VERSION} page {number}"), FACES)
    ]


def ink(key: str) -> np.ndarray:
    """Return how much of each pixel of a page its letters cover, (SIDE, SIDE) uint8."""
    return drawn(layout(random.Random(f"{VERSION} page {int(key.rpartition('_')[2])}"), FACES))


def layout(chance: random.Random, faces: Sequence[Face | Typewriter]) -> list[Placed]:
    """Return the words of a page, line by line."""
    placed: list[Placed] = []
    y = MARGIN
    while y + line_height(SMALLEST) <= SIDE - MARGIN:
        capital = round(1 / chance.uniform(1 / LARGEST, 1 / SMALLEST))
        if y + line_height(capital) > SIDE - MARGIN:
            capital = SMALLEST
        face, x = chance.choice(faces), chance.randrange(MARGIN, 5 * MARGIN)
        while x + (width := face.width(text := some_word(chance), capital)) <= SIDE - MARGIN:
            placed.append(Placed(text, face, capital, x, y, width))
            x += width + round(capital * chance.uniform(0.35, 0.8))
            if chance.random() < 0.06:  # as between columns
                x += round(capital * chance.uniform(1, 4))
        y += line_height(capital) + round(capital * chance.uniform(0.05, 0.5))
    return placed


def drawn(placed: Sequence[Placed]) -> np.ndarray:
    """Return how much of each pixel words cover, (SIDE, SIDE) uint8."""
    page = np.zeros((SIDE, SIDE), np.uint8)
    for word in placed:
        mask = word.face.mask(word.text, word.capital)
        part = page[word.y : word.y + mask.shape[0], word.x : word.x + mask.shape[1]]
        np.maximum(part, mask[: part.shape[0], : part.shape[1]], out=part)
    return page


def key_of(number: int) -> str:
    """Return the name of a page."""
    return f"{RENDERED}_{number:04d}"


def coloured(number: int, mask: np.ndarray) -> Image.Image:
    """Return a page whose ink is a mask (SIDE, SIDE), on paper and in a colour that the page's number decides."""
    from PIL import Image

    chance = random.Random(f"{VERSION} colours {number}")
    paper, letters = chance.choice(PAPERS), chance.choice(INKS)
    size = (SIDE, SIDE)
    return Image.composite(Image.new("RGB", size, letters), Image.new("RGB", size, paper), Image.fromarray(mask))
