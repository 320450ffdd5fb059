"""An answer out of the lines of text of a page, by a rule that looks at words and places only.

1. A question for a title or heading is answered by the topmost of the largest lines.
2. Else a label is sought: the line (up to its colon, where it has one) or the pair of a line on the left and one above,
   a table's row and column, whose words agree best with the question's content words, by F1; words agree when
   rapidfuzz's ratio is at least SAME_WORD. Ties: the upper line first, a line before a pair.
3. A pair is answered by the line where its row and its column meet; a line by what follows its colon, or else the
   last of its words that the question has; where nothing does, by the line to its right, else the line below it.
4. A question for a count, a date or a web address takes the first one that the label's line, the line to its right or
   the line below holds, if any does; without a label, the first one of the page.
5. No line that shares a word with the question: no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from rapidfuzz import fuzz

RULE = "1"  # changes when an answer may
SAME_WORD = 85  # per cent of letters, so that an OCR error or a plural does not part two words
AS_LARGE = 0.9  # of the largest line's height
_STOP = (
    "a an and are as at be been by can did do does for from given has have how in is it its many much name named of on "
    "or shown stated that the there this to was were what when where which who whom whose will with within"
)
STOP_WORDS = frozenset(_STOP.split())
SHORT = {"no": "number", "nr": "number"}
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
DATE = (
    rf"(\d{{1,2}} ?)?({MONTHS})[a-z]*\.? ?(\d{{1,2}}, ?)?\d{{4}}|\d{{4}}-\d\d-\d\d|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}"
)
KINDS = (
    (r"\bhow (many|much)\b", r"\d[\d.,]*"),
    (r"\b(date|when)\b", DATE),
    (r"\b(web|website|url)\b", r"(https?://|www\.)\S+"),
)
"""What a question asks for, and how that looks."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and its box in pixels, y downwards."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class _Label:
    """A line with the content words of its label, and those of the question that they agree with."""

    line: Line
    words: tuple[str, ...]
    found: frozenset[str]


def find_answer(question: str, lines: Sequence[Line]) -> str:
    """The answer to a question about a page, "" where the rule finds none. Deterministic."""
    page = sorted((line for line in lines if line.text.strip()), key=lambda line: (line.top, line.left))
    asked = dict.fromkeys(_content(question))
    if not page:
        return ""
    if {"title", "heading"} & asked.keys():
        largest = max(line.bottom - line.top for line in page)
        return next(line.text for line in page if line.bottom - line.top >= AS_LARGE * largest)
    kind = next((form for asks, form in KINDS if re.search(asks, question, re.IGNORECASE)), None)
    labels = [label for line in page if (label := _label(line, asked)).found]
    best, answer = 0.0, ""
    for label in labels:
        if (score := _f1(len(label.found), len(asked), len(label.words))) > best:
            best, answer = score, _value(label, page, kind)
    for row, column in product(labels, labels):
        if not row.found & column.found and (cell := _cell(row.line, column.line, page)):
            score = _f1(len(row.found | column.found), len(asked), len(row.words) + len(column.words))
            if score > best:
                best, answer = score, cell.text
    if not labels and kind:
        answer = _first(kind, page)
    return answer.strip(" .,;:")


def _words(text: str) -> list[str]:
    return [SHORT.get(word, word) for word in re.findall(r"[^\W_]+", text.casefold())]


def _content(text: str) -> tuple[str, ...]:
    return tuple(word for word in _words(text) if word not in STOP_WORDS)


def _parts(line: Line) -> tuple[str, str | None]:
    """The label, and what follows its colon (not that of a time or an address), None where it has none."""
    label, colon, value = re.sub(r":(?![\d/])", "\0", line.text, count=1).partition("\0")
    return label, value if colon else None


def _label(line: Line, asked: Iterable[str]) -> _Label:
    words = _content(_parts(line)[0])
    return _Label(line, words, frozenset(one for one in asked if any(_same(one, word) for word in words)))


def _same(word: str, other: str) -> bool:
    return fuzz.ratio(word, other) >= SAME_WORD


def _f1(agreeing: int, asked: int, words: int) -> float:
    return 2 * agreeing / (asked + words)


def _value(label: _Label, page: Sequence[Line], kind: str | None) -> str:
    near = [line for line in (_right_of(label.line, page), _below(label.line, page)) if line]
    if kind and (typed := _first(kind, [label.line, *near])):
        return typed
    value = _parts(label.line)[1]
    own = value if value is not None else _after_last(label)
    return next((text for text in (own, *(line.text for line in near)) if re.search(r"\w", text)), label.line.text)


def _after_last(label: _Label) -> str:
    """What follows the last word of the line that the question has."""
    ends = [
        match.end()
        for match in re.finditer(r"[^\W_]+", label.line.text)
        if any(_same(word, one) for word in _words(match[0]) for one in label.found)
    ]
    return label.line.text[ends[-1] :]


def _first(form: str, lines: Iterable[Line]) -> str:
    return next((match[0] for line in lines if (match := re.search(form, line.text))), "")


def _same_row(line: Line, page: Sequence[Line]) -> Iterator[Line]:
    """The other lines whose middle is on the line's height."""
    for other in page:
        if other is not line and line.top < (other.top + other.bottom) / 2 < line.bottom:
            yield other


def _right_of(line: Line, page: Sequence[Line]) -> Line | None:
    right = [other for other in _same_row(line, page) if other.left >= (line.left + line.right) / 2]
    return min(right, key=lambda other: other.left, default=None)


def _below(line: Line, page: Sequence[Line]) -> Line | None:
    below = [other for other in page if other.top >= (line.top + line.bottom) / 2 and _overlap(line, other) > 0]
    return min(below, key=lambda other: other.top, default=None)


def _cell(row: Line, column: Line, page: Sequence[Line]) -> Line | None:
    """The line on the row's height that is below the column's head, which is above the row and right of it."""
    if column.bottom > row.top + (row.bottom - row.top) / 2 or column.right <= row.right:
        return None
    cells = [line for line in _same_row(row, page) if _overlap(line, column) > 0]
    return max(cells, key=lambda cell: _overlap(cell, column), default=None)


def _overlap(line: Line, other: Line) -> float:
    return min(line.right, other.right) - max(line.left, other.left)
