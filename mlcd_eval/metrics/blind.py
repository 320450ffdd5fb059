"""What texts alone say of which of them is right: baselines of choices that see no image (Hsieh et al. 2023, Lin et al.
2024)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
"""Parts of the images; what a baseline knows of right texts is of the other parts."""
_BOUND = "\n"  # no word

Scores = list[NDArray[np.float64]]
"""For each choice a score of each of its texts, of which the largest is chosen."""


class Choice(NamedTuple):
    """texts: the first `matched` of which are right. image: the first of its images, which choices may share."""

    texts: tuple[str, ...]
    matched: int
    image: str


def by_length(choices: Sequence[Choice]) -> Scores:
    """Fewer words are likelier, whichever they are."""
    return [np.array([-len(_words(text)) for text in choice.texts], np.float64) for choice in choices]


def by_ngram(choices: Sequence[Choice]) -> Scores:
    """The mean log-likelihood of the words under a model of pairs of words of right texts of other images, each added
    to one observation of the word alone, and that to one of any word."""
    scores: Scores = [np.zeros(0)] * len(choices)
    for known, asked in _folds(choices):
        texts = dict.fromkeys(text for number in known for text in choices[number].texts[: choices[number].matched])
        model = _Pairs([_words(text) for text in texts])
        for number in asked:
            scores[number] = np.array([model.likelihood(_words(text)) for text in choices[number].texts])
    return scores


def by_majority(choices: Sequence[Choice]) -> Scores:
    """How often each text is right among choices of other images that have it; a half where none has."""
    scores: Scores = [np.zeros(0)] * len(choices)
    for known, asked in _folds(choices):
        right, seen = Counter[str](), Counter[str]()
        for number in known:
            seen.update(choices[number].texts)
            right.update(choices[number].texts[: choices[number].matched])
        for number in asked:
            scores[number] = np.array([(right[text] + 1) / (seen[text] + 2) for text in choices[number].texts])
    return scores


BASELINES = {"length": by_length, "ngram": by_ngram, "majority": by_majority}


def expected(scores: NDArray[np.float64], matched: int, images: int) -> tuple[float, float]:
    """How often each of the `matched` images gets its own text, and each such text its own of the images, where all
    images see the same scores of texts (T,), and one of equal ones is drawn at random."""
    text = 1.0
    for own in scores[:matched]:
        text *= 0.0 if (scores > own).any() else 1 / float((scores == own).sum())
    return text, float(images) ** -matched


def _folds(choices: Sequence[Choice]) -> Iterator[tuple[list[int], list[int]]]:
    """The numbers of the choices whose image is not in a part, and of those whose image is."""
    image = {name: number % FOLDS for number, name in enumerate(dict.fromkeys(choice.image for choice in choices))}
    part = np.array([image[choice.image] for choice in choices])
    for fold in range(FOLDS):
        yield np.flatnonzero(part != fold).tolist(), np.flatnonzero(part == fold).tolist()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class _Pairs:
    """A model of pairs of words, from texts as words."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self._pair, self._before, self._word = Counter[tuple[str, str]](), Counter[str](), Counter[str]()
        for words in texts:
            ends = [*words, _BOUND]
            self._word.update(ends)
            self._before.update([_BOUND, *words])
            self._pair.update(zip([_BOUND, *words], ends, strict=True))
        self._total = self._word.total()

    def likelihood(self, words: Sequence[str]) -> float:
        """The mean over the words and the end of the logarithm of their probability."""
        total = 0.0
        for before, word in zip([_BOUND, *words], [*words, _BOUND], strict=True):
            alone = (self._word[word] + 1) / (self._total + len(self._word) + 1)
            total += math.log((self._pair[before, word] + alone) / (self._before[before] + 1))
        return total / (len(words) + 1)
