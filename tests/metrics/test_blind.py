"""Baselines of choices that see no image, by hand and against counting."""

import math
from itertools import product

import numpy as np
import pytest

from mlcd_eval.metrics.blind import BASELINES, FOLDS, Choice, by_length, by_majority, by_ngram, expected


def value(baseline, choices, images=1):
    """The mean text accuracy."""
    scores = BASELINES[baseline](choices)
    return np.mean([expected(each, choice.matched, images)[0] for each, choice in zip(scores, choices, strict=True)])


def test_length_prefers_few_words():
    choices = [Choice(("a dog", "a big dog", "dog!"), 1, "a")]
    assert [each.tolist() for each in by_length(choices)] == [[-2, -3, -1]]
    assert value("length", choices) == 0
    assert value("length", [Choice(("a dog", "a cat", "a big dog"), 1, "a")]) == 0.5


def test_pairs_of_words_by_hand():
    """One text is known, of another image: `a dog`. Words: a, dog, end; three in all."""
    choices = [Choice(("a dog", "dog a"), 1, "a"), Choice(("a dog", "a bird"), 1, "b")]
    seen, unseen = 2 / 7, 1 / 7  # of a word alone: (1 + 1) / (3 + 3 + 1), (0 + 1) / 7
    right = [(1 + seen) / 2] * 3
    wrong = [seen / 2] * 3  # dog first, a after dog, the end after a: pairs of known words that were not seen
    bird = [(1 + seen) / 2, unseen / 2, seen / 1]
    expected_scores = [[right, wrong], [right, bird]]
    for own, likelihoods in zip(by_ngram(choices), expected_scores, strict=True):
        assert own == pytest.approx([np.mean(np.log(each)) for each in likelihoods])
    assert value("ngram", choices) == 1


def test_without_other_images_nothing_is_known():
    choices = [Choice(("a dog", "dog the a"), 1, "a"), Choice(("one", "two"), 1, "a")]
    assert value("ngram", choices) == value("majority", choices) == 0.5


def test_majority_counts_where_texts_are_right_elsewhere():
    choices = [Choice(("day", "night"), 1, f"im{n}") for n in range(2 * FOLDS)]
    choices += [Choice(("night", "day"), 1, f"other{n}") for n in range(FOLDS)]
    assert value("majority", choices) == pytest.approx(2 / 3)
    assert by_majority(choices)[0] == pytest.approx([9 / 14, 5 / 14])  # of 8 and 4 choices of the other parts


@pytest.mark.parametrize(("images", "texts"), [(1, 2), (2, 2), (3, 2), (2, 3)])
def test_what_is_expected_is_the_mean_over_all_ways_to_break_ties(images, texts):
    matched = min(images, texts)
    for scores in product((0.0, 1.0), repeat=texts):
        best = [number for number in range(texts) if scores[number] == max(scores)]
        draws = list(product(best, repeat=matched))
        text = np.mean([draw == tuple(range(matched)) for draw in draws])
        image = math.prod([1 / images] * matched)
        assert expected(np.array(scores), matched, images) == pytest.approx((text, image))
