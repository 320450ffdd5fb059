"""Rendered pages with questions: a train split for data sets of documents that have none.

Seeded: the pages are the same wherever Pillow draws the same.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import PIL
from PIL import Image, ImageDraw, ImageFont

from mlcd_eval.data.base import Question, Sample, Split
from mlcd_eval.data.storage.rows import RowShard

VERSION = 1
PAGES, FIELDS = 400, 6
NAMES = ("Anna Berg", "Tom Reed", "Li Wei", "Sara Novak", "Omar Haddad", "Julia Costa", "Ken Mori", "Eva Lund")
ITEMS = ("paper", "ink", "chairs", "cables", "lamps", "pens", "desks", "folders", "screens", "batteries")
MONTHS = ("January", "March", "April", "June", "August", "October", "December")


def pages() -> Iterator[Sample]:
    """The pages as PNG, in order."""
    for number in range(PAGES):
        yield Sample(f"rendered_{number:04d}", _draw(number))


def split(dataset: str, cache: Path | None) -> Split:
    """The pages as the train split of a data set."""
    version = f"rendered pages {VERSION} {PAGES} {PIL.__version__}"
    return Split(dataset, "train", [RowShard("rendered", pages, cache, lambda: version)])


def questions() -> list[Question]:
    """One question per field of each page."""
    all_questions: list[Question] = []
    for number in range(PAGES):
        for key, value in _fields(number):
            page = f"rendered_{number:04d}"
            number_of = len(all_questions)
            all_questions.append(Question(f"rendered_{number_of}", page, page, f"What is the {key}?", (value,)))
    return all_questions


def _fields(number: int) -> list[tuple[str, str]]:
    chance = random.Random(f"{VERSION} fields {number}")
    item = chance.choice(ITEMS)
    possible = [
        ("invoice number", f"{chance.choice('ABCDEF')}-{chance.randrange(10000, 99999)}"),
        ("date", f"{chance.choice(MONTHS)} {chance.randrange(1, 29)}, {chance.randrange(1990, 2025)}"),
        ("total amount", f"{chance.randrange(10, 20000)}.{chance.randrange(100):02d}"),
        ("name of the customer", chance.choice(NAMES)),
        (f"quantity of {item}", str(chance.randrange(1, 100))),
        (f"price of {item}", f"{chance.randrange(1, 500)}.{chance.randrange(100):02d}"),
        ("phone number", f"{chance.randrange(100, 999)}-{chance.randrange(1000, 9999)}"),
        ("page number", str(chance.randrange(1, 40))),
    ]
    return chance.sample(possible, FIELDS)


def _draw(number: int) -> bytes:
    chance = random.Random(f"{VERSION} page {number}")
    page = Image.new("RGB", (480, 640), "white")
    draw = ImageDraw.Draw(page)
    size = chance.randrange(18, 30)
    font = ImageFont.load_default(size)
    y = chance.randrange(20, 80)
    for key, value in _fields(number):
        gap = chance.choice((": ", "   ", " - "))
        draw.text(
            (chance.randrange(15, 40), y),
            f"{key.capitalize()}{gap}{value}",
            fill=chance.choice(("black", "navy")),
            font=font,
        )
        y += size + chance.randrange(20, 60)
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()
