"""Answers: by hand, and against transcriptions of what lmms-eval and VLMEvalKit run."""

import numpy as np
import pytest

from mlcd_eval.metrics import text
from mlcd_eval.metrics.text import (
    anls,
    anls_compat,
    character_error,
    normalised,
    relaxed_accuracy,
    vqa_accuracy,
)


def edit_distance(first, second):
    """The table of Wagner and Fischer, cell by cell."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def lmms_eval(references, prediction):
    """lmms-eval's anls, as its metric file has it."""
    values = []
    for answer in references:
        gt_answer = " ".join(answer.strip().lower().split())
        det_answer = " ".join(prediction.strip().lower().split())
        dist = edit_distance(gt_answer, det_answer)
        length = max(len(answer.upper()), len(prediction.upper()))
        values.append(0.0 if length == 0 else float(dist) / float(length))
    question_result = 1 - min(values)
    return 0 if question_result < 0.5 else question_result


WORDS = [
    "",
    " ",
    "a",
    "ACME Bank",
    "acme  bank ",
    "March 31,2016",
    "straße",
    "STRASSE",
    "日本語",
    "x" * 30,
    "   wrong   ",
]


@pytest.mark.parametrize("prediction", WORDS)
def test_compatible_anls_equals_the_other_harnesses_to_the_digit(prediction):
    for first in WORDS:
        for second in WORDS:
            assert anls_compat(prediction, [first, second]) == lmms_eval([first, second], prediction)


def test_anls_by_hand():
    assert anls("ACME  bank ", ["acme Bank"]) == 1.0
    assert anls("acme bonk", ["acme bank"]) == pytest.approx(1 - 1 / 9)
    assert anls("ab", ["abcd"]) == 0.5  # the threshold itself counts
    assert anls("a", ["abcd"]) == 0.0
    assert anls("", [""]) == anls(" ", ["\n"]) == 1.0
    assert anls("", ["a"]) == 0.0
    assert anls("2016", ["March", "2016"]) == 1.0  # the best of several answers


def test_padding_lifts_a_wrong_answer_only_in_the_compatible_form():
    assert anls(" " * 60 + "no", ["yes"]) == 0.0
    assert anls_compat(" " * 60 + "no", ["yes"]) == pytest.approx(1 - 3 / 62)


@pytest.mark.parametrize("seed", range(3))
def test_anls_is_the_definition_with_a_slow_edit_distance(seed):
    chance = np.random.default_rng(seed)
    for _ in range(100):
        first, second = ("".join(chance.choice(list("ab c"), size=chance.integers(0, 9))) for _ in range(2))
        a, b = (" ".join(text.split()) for text in (first, second))
        longer = max(len(a), len(b))
        expected = 1 - edit_distance(a, b) / longer if longer else 1.0
        assert anls(first, [second]) == pytest.approx(expected if expected >= 0.5 else 0.0)


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [("10.4", "10", 1), ("10.6", "10", 0), ("9.5", "10", 1), ("12%", "0.12", 1), ("Red", "red", 1), ("red", "blue", 0),
     ("0", "0", 1), ("0.0", "0", 0), ("abc", "3", 0), ("-10.4", "-10", 1)],
)  # fmt: skip
def test_relaxed_accuracy(prediction, answer, expected):
    assert relaxed_accuracy(prediction, [answer]) == expected


def test_vqa_accuracy_leaves_each_person_out():
    answers = ["yes"] * 2 + ["no"] * 8
    # yes: left out one of the two, 1 agrees: 1/3, twice; left out a no, 2 agree: 2/3, eight times
    assert vqa_accuracy("Yes.", answers) == pytest.approx((2 * 1 / 3 + 8 * 2 / 3) / 10)
    assert vqa_accuracy("no", answers) == 1.0
    assert vqa_accuracy("maybe", answers) == 0.0
    assert vqa_accuracy("3", ["three"] * 10) == 1.0


def test_vqa_accuracy_of_few_people():
    """Of one there is nothing to leave out, and the whole answer counts; of two that agree, one is left, who is a third
    of what is asked for."""
    assert vqa_accuracy("The cat", ["cat"]) == 1.0
    assert vqa_accuracy("dog", ["cat"]) == 0.0
    assert vqa_accuracy("cat", ["cat", "cat"]) == pytest.approx(1 / 3)
    assert vqa_accuracy("cat", ["cat", "dog"]) == pytest.approx((0 + 1 / 3) / 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("The red, Car", "red car"), ("two dogs", "2 dogs"), ("dont", "don't"), ("3.5", "3.5"), ("U.S.", "us"),
     ("t-b", "t b"), ("10,000", "10000"), ("what?", "what"), ("line\nbreak", "line break"), ("none", "0")],
)  # fmt: skip
def test_normalised_answers(text, expected):
    assert normalised(text) == expected


def test_character_error_is_from_the_nearest_answer():
    assert character_error("abd", ["abc", "xyzzy"]) == (1, 3)
    assert character_error("", ["abc"]) == (3, 3)


OFFICIAL = """
aint:ain't arent:aren't cant:can't couldve:could've couldnt:couldn't couldn'tve:couldn't've couldnt've:couldn't've
didnt:didn't doesnt:doesn't dont:don't hadnt:hadn't hadnt've:hadn't've hadn'tve:hadn't've hasnt:hasn't havent:haven't
hed:he'd hed've:he'd've he'dve:he'd've hes:he's howd:how'd howll:how'll hows:how's isnt:isn't itd:it'd itd've:it'd've
it'dve:it'd've itll:it'll maam:ma'am mightnt:mightn't mightnt've:mightn't've mightn'tve:mightn't've mightve:might've
mustnt:mustn't mustve:must've neednt:needn't notve:not've oclock:o'clock oughtnt:oughtn't ow's'at:'ow's'at
'ows'at:'ow's'at 'ow'sat:'ow's'at shant:shan't shed've:she'd've she'dve:she'd've shouldve:should've shouldnt:shouldn't
shouldnt've:shouldn't've shouldn'tve:shouldn't've somebody'd:somebodyd somebodyd've:somebody'd've
somebody'dve:somebody'd've somebodyll:somebody'll somebodys:somebody's someoned:someone'd someoned've:someone'd've
someone'dve:someone'd've someonell:someone'll someones:someone's somethingd:something'd somethingd've:something'd've
something'dve:something'd've somethingll:something'll thats:that's thered:there'd thered've:there'd've
there'dve:there'd've therere:there're theres:there's theyd:they'd theyd've:they'd've they'dve:they'd've theyll:they'll
theyre:they're theyve:they've twas:'twas wasnt:wasn't wed've:we'd've we'dve:we'd've weve:we've werent:weren't
whatll:what'll whatre:what're whats:what's whatve:what've whens:when's whered:where'd wheres:where's whereve:where've
whod:who'd whod've:who'd've who'dve:who'd've wholl:who'll whos:who's whove:who've whyll:why'll whyre:why're whys:why's
wont:won't wouldve:would've wouldnt:wouldn't wouldnt've:wouldn't've wouldn'tve:wouldn't've yall:y'all yall'll:y'all'll
y'allll:y'all'll yall'd've:y'all'd've y'alld've:y'all'd've y'all'dve:y'all'd've youd:you'd youd've:you'd've
you'dve:you'd've youll:you'll youre:you're youve:you've
"""


def test_every_contraction_of_the_official_answer_processor():
    """Its keys in lower case: others never match."""
    official = dict(pair.split(":") for pair in OFFICIAL.split())
    assert len(official) == 114 and official == text._RESTORED
    for without, word in official.items():
        assert "'s" in without or normalised(f"so {without}") == f"so {word}"  # theirs parts 's from its word before
    assert vqa_accuracy("5 oclock", ["5 o'clock"] * 10) == 1
    assert normalised("lets") == "lets"  # which theirs lacks
