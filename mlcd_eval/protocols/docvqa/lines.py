"""Answers to questions from a page's lines of text, by a rule that uses only words and positions.

1. A question about a title or heading is answered by the topmost of the largest lines.
2. Otherwise the rule looks for a label: a line (up to its colon, if it has one), or a pair of a line on the left and a
   line above (a table's row and column). The label is the one whose words agree best with the question's content words,
   by F1; two words agree if rapidfuzz's ratio is at least SAME_WORD. Ties: the upper line first, a line before a pair.
3. A pair is answered by the line where its row and column meet. A line is answered by the text after its colon, or
   after the last of its words that the question has; if there is no such text, by the line to its right, else the line
   below.
4. A question about a count, a date or a web address is answered by the first one in the label's line, the line to its
   right or the line below, if there is one; without a label, by the first one on the page.
5. If no line shares a word with the question, there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from rapidfuzz import fuzz

RULE = "1"  # version: changed whenever an answer may change
SAME_WORD = 85  # per cent of letters, so that words match despite an OCR error or a plural
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
"""Pattern of a question -> pattern of its answers."""


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
    """A line with the content words of its label, and the question's words that agree with them."""

    line: Line
    words: tuple[str, ...]
    matches: frozenset[str]


def find_answer(question: str, lines: Sequence[Line]) -> str:
    """Return the answer to a question about a page, "" if the rule finds none. Deterministic."""
    page = sorted((line for line in lines if line.text.strip()), key=lambda line: (line.top, line.left))
    question_words = dict.fromkeys(_content(question))
    if not page:
        return ""
    if {"title", "heading"} & question_words.keys():
        largest = max(line.bottom - line.top for line in page)
        return next(line.text for line in page if line.bottom - line.top >= AS_LARGE * largest)
    kind = next((answers for asks, answers in KINDS if re.search(asks, question, re.IGNORECASE)), None)
    labels = [label for line in page if (label := _label(line, question_words)).matches]
    best, answer = 0.0, ""
    for label in labels:
        if (score := _f1(len(label.matches), len(question_words), len(label.words))) > best:
            best, answer = score, _value(label, page, kind)
    for row, column in product(labels, labels):
        if not row.matches & column.matches and (cell := _cell(row.line, column.line, page)):
            score = _f1(len(row.matches | column.matches), len(question_words), len(row.words) + len(column.words))
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
    """Return the label and the text after its colon, None without a colon; that of a time or address does not count."""
    label, colon, value = re.sub(r":(?![\d/])", "\0", line.text, count=1).partition("\0")
    return label, value if colon else None


def _label(line: Line, question_words: Iterable[str]) -> _Label:
    words = _content(_parts(line)[0])
    return _Label(
        line, words, frozenset(asked for asked in question_words if any(_same(asked, word) for word in words))
    )


def _same(word: str, other: str) -> bool:
    return fuzz.ratio(word, other) >= SAME_WORD


def _f1(agreeing: int, asked: int, words: int) -> float:
    return 2 * agreeing / (asked + words)


def _value(label: _Label, page: Sequence[Line], kind: str | None) -> str:
    near = [line for line in (_right_of(label.line, page), _below(label.line, page)) if line]
    if kind and (typed := _first(kind, [label.line, *near])):
        return typed
    value = _parts(label.line)[1]
    rest = value if value is not None else _after_last_match(label)
    return next((text for text in (rest, *(line.text for line in near)) if re.search(r"\w", text)), label.line.text)


def _after_last_match(label: _Label) -> str:
    """Return the text after the last word of the line that the question has."""
    ends = [
        match.end()
        for match in re.finditer(r"[^\W_]+", label.line.text)
        if any(_same(word, asked) for word in _words(match[0]) for asked in label.matches)
    ]
    return label.line.text[ends[-1] :]


def _first(pattern: str, lines: Iterable[Line]) -> str:
    return next((match[0] for line in lines if (match := re.search(pattern, line.text))), "")


def _same_row(line: Line, page: Sequence[Line]) -> Iterator[Line]:
    """Yield the other lines whose vertical middle is within the line."""
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
    """Return the line in the row that is below the column's heading, which must be above the row and to its right."""
    if column.bottom > row.top + (row.bottom - row.top) / 2 or column.right <= row.right:
        return None
    cells = [line for line in _same_row(row, page) if _overlap(line, column) > 0]
    return max(cells, key=lambda cell: _overlap(cell, column), default=None)


def _overlap(line: Line, other: Line) -> float:
    return min(line.right, other.right) - max(line.left, other.left)
