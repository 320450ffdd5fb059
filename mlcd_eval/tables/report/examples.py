"""The best, median and worst samples of a task, which a picture sheet and a report show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from mlcd_eval.errors import DataError
from mlcd_eval.records import Result, read
from mlcd_eval.tables.report.trainings import finite, json_lines

SCORES = {"iou": 1, "anls": 1, "relaxed_accuracy": 1, "vqa_accuracy": 1, "delta1": 1, "median_angle": -1}
"""Columns that order the samples of a file, and whether more (1) or less (-1) of one is better; files without one have
no examples."""
TITLES = ("expression", "question", "key")
FEW = 3
LONGEST = 300  # characters of a field


class Picture(NamedTuple):
    """An image of a sample. uri: the WebP file as a `data:` address; size: width and height in pixels."""

    name: str
    alt: str
    uri: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Example:
    """A sample. title: what was asked; fields: its other columns as text."""

    key: str
    title: str
    score: float
    fields: list[tuple[str, str]]
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Examples:
    """Samples of one task. score: the column that orders them; kinds: `best`, `median` and `worst`, unless empty."""

    model: str
    task: str
    score: str
    kinds: dict[str, list[Example]]


Row = Mapping[str, Any]
Pictures = Mapping[str, Sequence[Picture]]
"""Key of a sample -> its pictures."""


def read_examples(paths: Iterable[Path]) -> list[Examples]:
    """The examples of every samples file that belongs to a record at or under the paths and has one of SCORES, with the
    pictures of its sheet; raises DataError for damaged files."""
    examples: dict[Path, Examples] = {}
    for path in paths:
        beside = [path.parent / "samples" / f"{path.stem}.jsonl"] if path.is_file() else path.rglob("samples/*.jsonl")
        for file in sorted(beside):
            record = file.parent.parent / f"{file.stem}.json"
            if file.is_file() and record.is_file() and (picked := pick(json_lines(file))):
                examples[file.resolve()] = as_examples(read(record), *picked, read_pictures(file.with_suffix(".html")))
    return list(examples.values())


def pick(rows: Iterable[Row]) -> tuple[str, dict[str, list[Row]]] | None:
    """The score's name and at most FEW rows of each kind, none twice, ties in file order; None without a score."""
    name = ""
    scored: list[tuple[float, Row]] = []
    for row in rows:
        name = name or next((score for score in SCORES if score in row), "")
        if not name:
            return None
        if (score := finite(row.get(name))) is not None:
            scored.append((score, row))
    if not scored:
        return None
    ordered = [row for _, row in sorted(scored, key=lambda pair: SCORES[name] * pair[0])]
    few = min(FEW, -(-len(ordered) // 3))
    worst, rest = ordered[:few], ordered[few:]
    best, between = rest[-few:], rest[:-few]
    start = max((len(between) - few + 1) // 2, 0)
    kinds = {"best": best[::-1], "median": between[start:][:few], "worst": worst}
    return name, {kind: chosen for kind, chosen in kinds.items() if chosen}


def as_examples(result: Result, score: str, kinds: Mapping[str, Sequence[Row]], pictures: Pictures) -> Examples:
    """Picked rows as text, without masks."""
    examples = {kind: [_example(row, score, pictures) for row in rows] for kind, rows in kinds.items()}
    return Examples(result.model.name, result.task.name, score, examples)


def _example(row: Row, score: str, pictures: Pictures) -> Example:
    key, title = str(row.get("key")), next((name for name in TITLES if name in row), "")
    fields = [(name, value) for name, value in row.items() if name not in (score, title)]
    texts = [(name, _text(value)) for name, value in fields if not isinstance(value, dict) and not _sums(value)]
    return Example(key, _text(row.get(title)), row[score], texts, pictures.get(key, ()))


def _sums(value: Any) -> bool:
    """Whether a field holds numbers that only metrics read, such as the overlaps of each class."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, (int, float)) for each in value)


def _text(value: Any) -> str:
    """A field as text: four digits of a fraction, at most LONGEST characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = " | ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def read_pictures(sheet: Path) -> Pictures:
    """The pictures of a sheet, none where there is no sheet; raises DataError for a file that is not a sheet."""
    if not sheet.is_file():
        return {}
    try:
        return _Reader(sheet.read_text(encoding="utf-8")).pictures
    except (KeyError, ValueError) as error:
        raise DataError(f"{sheet} is not a picture sheet as --log-samples writes it: got {error!r}") from error


class _Reader(HTMLParser):
    """Reads the pictures of a sheet's articles; raises KeyError or ValueError for an article that lacks a part."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: dict[str, list[Picture]] = {}
        self._of_article: list[Picture] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a picture with its sample."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "article":
            self._of_article = self.pictures.setdefault(attributes["data-key"], [])
        elif tag == "img":
            uri = attributes["src"]
            if not re.fullmatch(r"data:image/webp;base64,[A-Za-z0-9+/]+=*", uri):
                raise ValueError(uri[:40])
            size = int(attributes["width"]), int(attributes["height"])
            self._of_article.append(Picture(attributes["title"], attributes["alt"], uri, size))
