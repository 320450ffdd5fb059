"""Words as pictures, with fonts that every installation has: those in Pillow, and what can be made of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import ImageFont

ABOVE, BELOW = 1.15, 0.36
"""How far a line reaches above and below its baseline, in heights of a capital: all of b, d, ( and g, p, comma."""
BITMAP_CAPITAL, BITMAP_BASELINE = 6, 9  # rows of Pillow's bitmap font
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Of codes at random: without letters that look like others."""
CONSONANTS, VOWELS, DIGITS = "bcdfghjklmnprstvwxyz", "aeiou", "0123456789"


@dataclass(frozen=True)
class Face:
    """A typeface. load: size -> font; capital: the height of a capital, as a share of the size. bold: how much wider a
    stroke becomes, as a share of a capital's height. slant: shift to the right for each unit of height. stretch: of the
    width."""

    name: str
    load: Callable[[int], ImageFont.FreeTypeFont]
    capital: float
    bold: float = 0.0
    slant: float = 0.0
    stretch: float = 1.0

    def mask(self, text: str, capital: int) -> np.ndarray:
        """Return how much of each pixel a word covers, (h, w) uint8, w close to its ink; h is that of `line_height`."""
        from PIL import Image, ImageDraw

        above, below = round(ABOVE * capital), line_height(capital) - round(ABOVE * capital)
        font = self._font(capital)
        left, _, right, _ = font.getbbox(text, anchor="ls")
        thicker = self.bold * capital
        picture = Image.new("L", (round(right - left + thicker) + 2, above + below))
        draw = ImageDraw.Draw(picture)
        for shift in (0.0, thicker) if thicker else (0.0,):
            draw.text((1 - left + shift, above), text, fill=255, font=font, anchor="ls")
        if self.slant:
            first, last = self.slant * above, self.slant * below
            size = (picture.width + round(first + last), picture.height)
            picture = picture.transform(
                size, Image.Transform.AFFINE, (1, self.slant, -first, 0, 1, 0), Image.Resampling.BILINEAR
            )
        if self.stretch != 1:
            picture = picture.resize((max(1, round(picture.width * self.stretch)), picture.height))
        return np.asarray(picture)

    def width(self, text: str, capital: int) -> int:
        """Return about how wide a word is, without drawing it."""
        left, _, right, _ = self._font(capital).getbbox(text, anchor="ls")
        return round((right - left + self.bold * capital + 2) * self.stretch + self.slant * line_height(capital))

    def _font(self, capital: int) -> ImageFont.FreeTypeFont:
        return self.load(max(4, round(capital / self.capital)))


class Typewriter:
    """Pillow's bitmap font, Courier bold, at any size. As a Face."""

    name = "typewriter"

    def mask(self, text: str, capital: int) -> np.ndarray:
        """As Face.mask."""
        from PIL import Image, ImageDraw

        _, _, width, height = _bitmap().getbbox(text)
        letters = Image.new("L", (int(width), int(height)))
        ImageDraw.Draw(letters).text((0, 0), text, fill=255, font=_bitmap())
        scale = capital / BITMAP_CAPITAL
        way = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
        letters = letters.resize((max(1, round(width * scale)), max(1, round(height * scale))), way)
        picture = Image.new("L", (letters.width, line_height(capital)))
        picture.paste(letters, (0, round(ABOVE * capital) - round(BITMAP_BASELINE * scale)))
        return np.asarray(picture)

    def width(self, text: str, capital: int) -> int:
        """As Face.width."""
        return round(_bitmap().getbbox(text)[2] * capital / BITMAP_CAPITAL)


def line_height(capital: int) -> int:
    """Return the pixels from the top of a line to its bottom."""
    return round(ABOVE * capital) + max(1, round(BELOW * capital))


@cache
def _bitmap() -> ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default_imagefont()


@cache
def _sans(size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels are built with FreeType"
    return font


FACES = (
    Face("regular", _sans, 0.7),
    Face("bold", _sans, 0.7, bold=0.09),
    Face("italic", _sans, 0.7, slant=0.22),
    Face("narrow", _sans, 0.7, stretch=0.8),
    Face("wide", _sans, 0.7, stretch=1.2),
    Typewriter(),
)
"""The faces of Pillow's own fonts."""


def some_word(chance: random.Random) -> str:
    """Return a word that no dictionary has, a number, a date, an amount or a code."""
    kind = chance.random()
    if kind < 0.6:
        return _syllables(chance)
    if kind < 0.9:
        return _number(chance)
    code = "".join(chance.choice(LETTERS) for _ in range(chance.randrange(2, 8)))
    if chance.random() < 0.2:
        return f"({code})"
    return code[:3] + chance.choice("-'@&#/+") + code[3:] if chance.random() < 0.2 else code


def _syllables(chance: random.Random) -> str:
    word = "".join(
        chance.choice(CONSONANTS) + chance.choice(VOWELS) + chance.choice(["", "", chance.choice(CONSONANTS)])
        for _ in range(chance.randrange(1, 4))
    )
    word = chance.choice([word, word, word, word, word.capitalize(), word.upper()])
    return word + (chance.choice(".,:;?!") if chance.random() < 0.15 else "")


def _number(chance: random.Random) -> str:
    def digits(count: int) -> str:
        return "".join(chance.choice(DIGITS) for _ in range(count))

    few, kind = chance.randrange(1, 7), chance.randrange(9)
    capital = chance.choice("ABCDEFGHJKLMNPQRSTUVWXYZ")
    forms = (
        digits(few),
        f"{digits(few)}.{digits(2)}",
        f"{capital}-{digits(few)}",
        f"{digits(3)}-{digits(4)}",
        f"{digits(2)}/{digits(2)}/{digits(4)}",
        f"${digits(few)}",
        f"{digits(2)}%",
        f"{digits(1)},{digits(3)}",
        f"{digits(2)}:{digits(2)}",
    )
    return forms[kind]
