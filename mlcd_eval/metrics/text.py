"""Scores of one short answer: ANLS (DocVQA), relaxed accuracy (ChartQA), VQA accuracy (TextVQA), character errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

THRESHOLD = 0.5


def _distance(first: str, second: str) -> int:
    """Edits of single characters between two texts."""
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(first, second)


def anls(prediction: str, answers: Sequence[str]) -> float:
    """Average normalised Levenshtein similarity of one question (Biten et al. 2019): the best over the answers of
    1 - distance / longer length, 0 below one half. Case, white space at the ends and the length of white space do not
    count; two empty texts are equal. In [0, 1]."""
    return max(_similarity(_plain(prediction), _plain(answer)) for answer in answers)


def _similarity(first: str, second: str) -> float:
    longer = max(len(first), len(second))
    similarity = 1 - _distance(first, second) / longer if longer else 1.0
    return similarity if similarity >= THRESHOLD else 0.0


def anls_compat(prediction: str, answers: Sequence[str]) -> float:
    """ANLS as lmms-eval and VLMEvalKit compute it: the distance of stripped texts over the length of unstripped ones,
    so that a wrong answer with spaces around it scores. Lengths are those in upper case, where ß counts two."""
    distances = []
    for answer in answers:
        longer = max(len(answer.upper()), len(prediction.upper()))
        distance = _distance(_plain(answer), _plain(prediction))
        distances.append(distance / longer if longer else 0.0)
    similarity = 1 - min(distances)
    return 0.0 if similarity < THRESHOLD else similarity


def _plain(text: str) -> str:
    return " ".join(text.strip().lower().split())


def relaxed_accuracy(prediction: str, answers: Sequence[str], tolerance: float = 0.05) -> float:
    """1.0 where a number is within 5% of the first answer, or a text equals it whatever the case, else 0.0 (ChartQA,
    Masry et al. 2022; as in lmms-eval, `12%` is 0.12, and against 0 only the same text counts)."""
    target = answers[0]
    got, expected = _number(prediction), _number(target)
    if got is not None and expected:
        return float(abs(got - expected) / abs(expected) <= tolerance)
    return float(prediction.lower() == target.lower())


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def vqa_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Mean over the leave-one-out sets of the people's answers of min(1, number that agree / 3), all normalised as the
    VQA evaluation server does (Antol et al. 2015; TextVQA)."""
    got = normalised(prediction)
    known = [normalised(answer) for answer in answers]
    if len(known) == 1:
        return float(got == known[0])
    agree = sum(answer == got for answer in known)
    return sum(min(1.0, (agree - (answer == got)) / 3) for answer in known) / len(known)


_ARTICLES = {"a", "an", "the"}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS)}}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_CONTRACTIONS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_RESTORED = {
    **{word[:at] + word[at + 1 :]: word for word in _CONTRACTIONS.split() for at, c in enumerate(word) if c == "'"},
    "somebody'd": "somebodyd",  # as in their table
}


def normalised(text: str) -> str:
    """The text as the TextVQA challenge's answer processor leaves it: lower case, without articles and punctuation,
    with digits for number words and with the apostrophe that a contraction lacks."""
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    joined = text
    for sign in _PUNCTUATION:
        beside_space = f"{sign} " in text or f" {sign}" in text or re.search(r"\d,\d", text) is not None
        joined = joined.replace(sign, "" if beside_space else " ")
    joined = re.sub(r"\.(?!\d)", "", joined)
    words = [_DIGITS.get(word, word) for word in joined.lower().split()]
    return " ".join(_RESTORED.get(word, word) for word in words if word not in _ARTICLES)


ANSWER_SCORES: dict[str, Callable[[str, Sequence[str]], float]] = {
    "anls": anls,
    "anls_compat": anls_compat,
    "relaxed_accuracy": relaxed_accuracy,
    "vqa_accuracy": vqa_accuracy,
}
"""By the name of the metric that is their mean: an answer and the right ones -> [0, 1]."""


def character_error(prediction: str, answers: Sequence[str]) -> tuple[int, int]:
    """Edits between the prediction and the nearest answer, and that answer's length: the rate is sum over sum."""
    plain = _plain(prediction)
    pairs = [(_distance(plain, _plain(answer)), len(_plain(answer))) for answer in answers]
    return min(pairs, key=lambda pair: pair[0] / max(pair[1], 1))
