"""The reading probe: what an encoder's patches show of text.

Recipe 2: a linear map, fitted in closed form on rendered pages, makes the ink of a page from its patches (ink.py); a
reader that is the same for all encoders reads words in the ink (reader.py). On rendered pages that the map was not
fitted to, words of known boxes give the share that is read by letter height (legibility.py). On the pages of the
questions, lines and words are found in the ink (found_words.py), and the rule of the OCR reader answers from them
(lines.py). A change to any of these raises RECIPE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlcd_eval.data import rendered
from mlcd_eval.data.annotations import Question, Word
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.interval import generator
from mlcd_eval.metrics.statistics import Mean, column
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.docvqa import legibility
from mlcd_eval.protocols.docvqa.found_words import find_lines
from mlcd_eval.protocols.docvqa.ink import InkMap, cells_of, learn_ink
from mlcd_eval.protocols.docvqa.lines import RULE, Line, find_answer
from mlcd_eval.protocols.docvqa.reader import read
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.support.progress import Advance

RECIPE = 2
MEASURED = 5  # one of so many rendered pages, the last ones, is not learned from

Patches = Callable[[str], Tensor]
"""A page's key -> its patches (h, w, D), float32, on the device."""


@dataclass(frozen=True)
class Reading:
    """What was read of the rendered pages that the map was not fitted to, and the map. side: of what the encoder sees,
    in pixels. pages: those the map was fitted to, and those measured. correct: 1.0 for each word that is read; page_of:
    its page."""

    ink: InkMap
    curve: list[dict[str, Any]]
    side: int
    pages: tuple[int, int]
    correct: Sequence[float]
    page_of: Sequence[str]

    def record(self, seed: int) -> dict[str, Any]:
        """Return the numbers for a record; the interval of the word accuracy is over pages."""
        accuracy, words = legibility.word_accuracy(self.curve)
        chance = generator(seed, "word_accuracy")
        interval = Mean(column("correct")).interval({"correct": self.correct}, np.array(self.page_of), chance)
        return {
            "words": words,
            "word_accuracy": accuracy,
            "word_accuracy_ci95": interval,
            "character_accuracy": legibility.character_accuracy(self.curve),
            "smallest_legible_letter": legibility.smallest_legible(self.curve),
            "unit": "pixels",
            "image_side": self.side,
            "ink_explained": self.ink.explained,
            "penalty": self.ink.penalty,
            "pages_learned": self.pages[0],
            "pages_measured": self.pages[1],
            "curve": self.curve,
        }


def measure_reading(
    patches: Patches,
    pages: Sequence[str],
    words: Sequence[Word],
    side: int,
    ink: Callable[[str], np.ndarray] = rendered.ink,
    advance: Advance = lambda _: None,
) -> Reading:
    """Fit the map of ink to the first pages, and read the words on the others.

    words: on all pages, in the order of the pages. ink: a page's true ink, (side, side) uint8. advance: called with the
    pages that are done. Raises DataError for fewer than two pages.
    """
    if len(pages) < 2:
        raise DataError(f"docvqa's probe learns from rendered pages: got {len(pages)}, expected at least 2 (--limit?)")
    measured = pages[-max(1, len(pages) // MEASURED) :]
    learned = pages[: len(pages) - len(measured)]
    height, width, _ = patches(pages[0]).shape
    ink_map = learn_ink(patches, lambda page: torch.tensor(ink(page)) / 255, learned, cells_of((height, width), side))
    advance(len(learned))
    of_page: dict[str, list[Word]] = {page: [] for page in measured}
    for word in words:
        if word.image in of_page:
            of_page[word.image].append(word)
    heights: list[float] = []
    texts: list[str] = []
    readings: list[str] = []
    page_of: list[str] = []
    for page, on_page in of_page.items():
        field = ink_map.field(patches(page))
        size = torch.tensor([field.shape[1], field.shape[0]] * 2)
        boxes = torch.tensor([word.box for word in on_page], dtype=torch.float32).reshape(-1, 4) * size
        readings += read(field, boxes.to(field.device))
        heights += [word.letter_height * side for word in on_page]
        texts += [word.text for word in on_page]
        page_of += [page] * len(on_page)
        advance(1)
    curve = legibility.curve(heights, texts, readings)
    correct = [float(text.lower() == reading) for text, reading in zip(texts, readings, strict=True)]
    return Reading(ink_map, curve, side, (len(learned), len(measured)), correct, page_of)


def read_answers(inputs: Inputs, questions: Sequence[Question]) -> tuple[list[str], dict[str, Any]]:
    """Return answers to the questions, and details for the record."""
    assert inputs.image_side, "a model with patches takes images of a size"
    images = inputs.images["rendered"]
    words = [word for word in inputs.annotations["rendered"] if isinstance(word, Word)]
    with inputs.stage("reading rendered pages", len(images.keys), "pages") as advance:
        patches = page_patches(images, "rendered", inputs.device)
        reading = measure_reading(patches, images.keys, words, inputs.image_side, advance=advance)
    lines_of: dict[str, list[Line]] = {}
    patches = page_patches(inputs.images["test"], "test", inputs.device)
    with inputs.stage("reading pages", len(inputs.images["test"].keys), "pages") as advance:
        for page in inputs.images["test"].keys:
            lines_of[page] = _lines(reading.ink.field(patches(page)))
            advance(1)
    unreadable = [question.image for question in questions if question.image not in lines_of]
    if unreadable:
        raise DataError(
            f"test: {len(unreadable)} of {len(questions)} questions are about images that cannot be read, first "
            f"{unreadable[0]!r}"
        )
    answers = [find_answer(question.text, lines_of[question.image]) for question in questions]
    return answers, {"recipe": RECIPE, "rule": RULE, "reading": reading.record(inputs.seed)}


def page_patches(images: Features, role: str, device: str) -> Patches:
    """Return the patches of each page. Raises DataError for features that are not finite."""
    check_finite(images.array, f"patch features of {role}", images.keys)
    row: Mapping[str, int] = {key: number for number, key in enumerate(images.keys)}
    return lambda page: torch.tensor(np.asarray(images.array[row[page]], np.float32), device=device)


def _lines(field: Tensor) -> list[Line]:
    """Return the lines of text that are found and read in ink (h, w)."""
    found = find_lines(field.cpu().numpy())
    boxes = torch.tensor([box for line in found for box in line.words], dtype=torch.float32).reshape(-1, 4)
    texts = iter(read(field, boxes.to(field.device)))
    return [Line(" ".join(text for _, text in zip(line.words, texts, strict=False)), *line.box) for line in found]
