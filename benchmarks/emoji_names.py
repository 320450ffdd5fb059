"""Write the bundled emoji with their names in 30 languages, mlcd_eval/demo_data/emoji_names, in XM3600's layout.

    python benchmarks/emoji_names.py ANNOTATIONS FONT

ANNOTATIONS: Unicode CLDR's folder common/annotations (Debian: unicode-cldr-core); FONT: Noto's colour emoji
(Debian: fonts-noto-color-emoji). Chosen are emoji of one code point that have a name in every language, each name once
per language, every few of them in CLDR's order. A name is the caption; the picture is on white.
"""

from __future__ import annotations

import io
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from mlcd_eval.support.bundled import demo_data_dir
from mlcd_eval.support.fileio import atomic_write

LANGUAGES = tuple("ar bn cs de el en es fa fi fr he hi hu id it ja ko nl pl pt ro ru sv sw te th tr uk vi zh".split())  # noqa: SIM905
COUNT = 240
STRIKE, SIDE, QUALITY = 109, 112, 85
"""The size of the font's bitmaps, the side of a picture in pixels, and JPEG's quality."""
FIRST, LAST, SKIN = 0x1F300, 0x1FAFF, range(0x1F3FB, 0x1F400)


def names(file: Path) -> dict[str, str]:
    """Character -> its short name in one language."""
    found = {}
    for annotation in ET.parse(file).getroot().iter("annotation"):
        character, text = annotation.attrib["cp"], (annotation.text or "").strip()
        if annotation.attrib.get("type") == "tts" and len(character) == 1 and text not in ("", "↑↑↑"):
            found[character] = text
    return found


def chosen(of_language: dict[str, dict[str, str]]) -> list[str]:
    """COUNT characters, evenly spaced among those that have a name of their own in every language."""
    in_all = set.intersection(*(set(known) for known in of_language.values()))
    order = [
        character
        for character in of_language["en"]
        if character in in_all and FIRST <= ord(character) <= LAST and ord(character) not in SKIN
    ]
    used: dict[str, set[str]] = {language: set() for language in of_language}
    kept = []
    for character in order:
        own = {language: known[character].casefold() for language, known in of_language.items()}
        if not any(name in used[language] for language, name in own.items()):
            kept.append(character)
            for language, name in own.items():
                used[language].add(name)
    return [kept[number * len(kept) // COUNT] for number in range(COUNT)]


def picture(character: str, font: ImageFont.FreeTypeFont) -> bytes | None:
    """The emoji as JPEG; None where the font has no picture."""
    canvas = Image.new("RGB", (136, 136), "white")
    ImageDraw.Draw(canvas).text((0, 0), character, font=font, embedded_color=True)
    box = Image.eval(canvas.convert("L"), lambda value: 255 - value).getbbox()
    if box is None:
        return None
    side = max(box[2] - box[0], box[3] - box[1]) + 8
    square = Image.new("RGB", (side, side), "white")
    square.paste(canvas.crop(box), ((side - box[2] + box[0]) // 2, (side - box[3] + box[1]) // 2))
    file = io.BytesIO()
    square.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def main(annotations: Path, font_file: Path) -> None:
    """Write captions.jsonl and the images."""
    font = ImageFont.truetype(str(font_file), STRIKE)
    pictures = {
        character: picture(character, font)
        for character in names(annotations / "en.xml")
        if FIRST <= ord(character) <= LAST
    }
    of_language = {
        language: {
            character: name
            for character, name in names(annotations / f"{language}.xml").items()
            if pictures.get(character) is not None
        }
        for language in LANGUAGES
    }
    lines = []
    for character in chosen(of_language):
        key = f"{ord(character):x}"
        texts = {language: {"caption": [known[character]]} for language, known in of_language.items()}
        lines.append(json.dumps({"image/key": key, **texts}, ensure_ascii=False))
        with atomic_write(demo_data_dir() / "emoji_names/images" / f"{key}.jpg") as file:
            file.write(pictures[character] or b"")
    with atomic_write(demo_data_dir() / "emoji_names/captions.jsonl") as file:
        file.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
