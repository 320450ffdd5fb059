"""Finds lines of text and their words in the ink of a page, by the gaps between letters. The shares and gaps were
chosen on the bundled pages of docdemo, read from pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

INKED = 0.35  # of a cell that letters cover
LEAST_HEIGHT = 3  # cells, of a letter
RULE_SHARE, RULE_LENGTH = 0.25, 8  # a rule or frame is wider than this share of the page and so many times its height
PATCH_SHARE, FILLED = 0.01, 0.9  # a patch of colour, such as what is beside a page: of the page, and of its own box
LETTER_GAP = 0.9  # between two words of a line, in heights of its letters: wider ones separate columns
DOT_GAP = 0.25  # between a letter and its dot
WORD_GAP = 0.3  # between two letters of a word
MARGIN = 0.12  # around a word, in heights of its line


@dataclass(frozen=True)
class FoundLine:
    """A line's box and those of its words, from left to right: left, top, right, bottom, in cells."""

    box: tuple[float, float, float, float]
    words: tuple[tuple[float, float, float, float], ...]


def find_lines(field: np.ndarray) -> list[FoundLine]:
    """Return the lines in the ink (h, w) of a page, from top to bottom."""
    inked = field > INKED
    labels, _ = ndimage.label(inked, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    letters = np.zeros_like(inked)
    heights = []
    for number, (rows, columns) in enumerate(boxes, start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        own = labels[rows, columns] == number
        is_rule = width > RULE_SHARE * field.shape[1] and width > RULE_LENGTH * height
        if is_rule or own.sum() > max(PATCH_SHARE * field.size, FILLED * own.size):
            continue
        letters[rows, columns] |= own
        if height >= LEAST_HEIGHT:
            heights.append(height)
    if not heights:
        return []
    height = float(np.median(heights))
    gap, dot = round(LETTER_GAP * height), round(DOT_GAP * height)
    margin = max(gap, dot)
    joined = ndimage.binary_closing(np.pad(letters, margin), np.ones((dot + 1, 1)))
    joined = ndimage.binary_closing(joined, np.ones((1, gap + 1)))[margin:-margin, margin:-margin]
    lines = []
    labels, _ = ndimage.label(joined, np.ones((3, 3)))
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        own = letters[place] & (labels[place] == number)
        if own.shape[0] >= LEAST_HEIGHT:
            lines.append(_line(own, place[0].start, place[1].start))
    return sorted(lines, key=lambda line: line.box[1])


def _line(own: np.ndarray, top: int, left: int) -> FoundLine:
    """The line whose letters (h, w) begin at this place."""
    height, bottom = own.shape[0], top + own.shape[0]
    inked = np.flatnonzero(own.any(axis=0))
    breaks = np.flatnonzero(np.diff(inked) > 1 + WORD_GAP * height)
    starts, ends = inked[[0, *(breaks + 1)]], inked[[*breaks, -1]] + 1
    margin = MARGIN * height
    words = tuple(
        (left + start - margin, top - margin, left + end + margin, bottom + margin)
        for start, end in zip(starts, ends, strict=True)
    )
    return FoundLine((left + float(inked[0]), top, left + float(inked[-1]) + 1, bottom), words)
