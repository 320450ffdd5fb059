"""Crossmodal-3600's layout, which the bundled emoji share: captions.jsonl, images/KEY.jpg (Thapliyal et al. 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.scheme import FolderSource, Options
from mlcd_eval.data.sources.multilingual import Captioned, CaptionsByLanguage, image_path, text_lines
from mlcd_eval.data.storage.json_file import validated_json
from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import json_lines

FILE, KEY, CAPTIONS = "captions.jsonl", "image/key", "caption"


class Crossmodal(FolderSource):
    """The scheme `xm3600`."""

    def open(self, address: str, options: Options, *, name: str, cache: Path | None, offline: bool) -> Dataset:
        """The split test: every line of the file."""
        folder = Path(address).expanduser()
        images = Path(options["images"]).expanduser() if "images" in options else folder / "images"
        return CaptionsByLanguage(name, {"test": _read(folder / FILE, images)}, cache)

    def has_layout(self, folder: Path) -> bool:
        """Whether it has the file."""
        return (folder / FILE).is_file()


def _read(path: Path, folder: Path) -> list[Captioned]:
    """`{"image/key": KEY, LANGUAGE: {"caption": [TEXT, ...], ...}, ...}` in each line."""
    known: dict[str, dict[str, tuple[str, ...]]] = {}
    for number, item in json_lines(text_lines(path), path):
        where = f"line {number} of {path}"
        if not isinstance(item.get(KEY), str):
            raise DataError(f"{where} has no {KEY}: expected it and a key for each language")
        if item[KEY] in known:
            raise DataError(f"{where} has the image {item[KEY]!r} again, expected each once")
        known[item[KEY]] = {
            language: _captions(value, f"{where}: {language}")
            for language, value in item.items()
            if isinstance(value, dict) and CAPTIONS in value
        }
    languages = list(dict.fromkeys(language for texts in known.values() for language in texts))
    if not languages:
        raise DataError(
            f'{path} has no captions: expected a language such as "de": {{"{CAPTIONS}": ["..."]}} in its lines'
        )
    return [
        Captioned(key, image_path(folder, f"{key}.jpg", path), {code: texts.get(code, ()) for code in languages})
        for key, texts in known.items()
    ]


def _captions(value: dict[str, Any], where: str) -> tuple[str, ...]:
    texts: tuple[str, ...] = validated_json(tuple[str, ...], value[CAPTIONS], where)
    return texts
