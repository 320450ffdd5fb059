"""Rendered pages: the words' boxes hold their ink, and what is drawn changes only with the version."""

import random

import numpy as np
import pytest

from mlcd_eval.data import rendered
from mlcd_eval.data.lettering import FACES, line_height, some_word
from mlcd_eval.data.rendered import LARGEST, PAGES, RENDERED, SIDE, SMALLEST, VERSION, ink, layout, pages, split, words

FIRST = [("SESHEHIB.", "narrow", 13, 9, 8), ("tbCCv", "narrow", 13, 94, 8), ("jixewloz", "narrow", 13, 147, 8)]


def test_the_pages_of_a_version_stay_what_they_are():
    """Else their features are kept under the old version."""
    first = layout(random.Random("2 page 0"), FACES)[:3]
    assert VERSION == 2 and PAGES == 160
    assert [(word.text, word.face.name, word.capital, word.x, word.y) for word in first] == FIRST


def test_a_page_has_hundreds_of_words_of_all_sizes_and_faces():
    of_page = layout(random.Random("2 page 0"), FACES)
    assert len(of_page) > 100 and {word.face.name for word in of_page} <= {face.name for face in FACES}
    all_words = words()
    heights = SIDE * np.array([word.letter_height for word in all_words])
    assert len(all_words) > 100 * PAGES and len({word.image for word in all_words}) == PAGES
    assert heights.min() >= SMALLEST - 1e-6 and 100 < heights.max() <= LARGEST + 1e-6
    assert (heights >= 48).sum() > 500  # of large letters too


def test_boxes_hold_the_ink_and_nothing_else_does():
    page = ink("rendered_0000").astype(float)
    boxes = [word.box for word in words() if word.image == "rendered_0000"]
    inside = np.zeros_like(page, bool)
    for left, top, right, bottom in np.rint(np.array(boxes) * SIDE).astype(int):
        assert page[top:bottom, left:right].max() > 200
        inside[top:bottom, left - 2 : right + 2] = True
    assert page[~inside].sum() < 0.001 * page.sum()


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_a_capital_is_as_high_as_it_is_said_to_be(face):
    mask = face.mask("H", 40)
    rows = np.flatnonzero((mask > 127).any(axis=1))
    assert len(mask) == line_height(40) and abs(len(rows) - 40) <= 2
    assert abs(face.width("Handgloves", 40) - face.mask("Handgloves", 40).shape[1]) <= 3


def test_words_are_of_the_readers_characters():
    from mlcd_eval.protocols.docvqa.reader import CHARACTERS

    chance = random.Random(0)
    letters = {letter for _ in range(3000) for letter in some_word(chance).lower()}
    assert letters <= set(CHARACTERS) and len(letters) > 45


def test_a_page_is_its_ink_in_colour():
    picture, mask = next(pages()).image, ink("rendered_0000")
    grey = np.asarray(picture.convert("L")).astype(int)
    assert picture.mode == "RGB" and picture.size == (SIDE, SIDE)
    assert grey[mask == 0].min() > 200 and grey[mask == 255].max() < 100


def test_the_split_is_of_its_version(monkeypatch):
    monkeypatch.setattr(rendered, "PAGES", 2)
    of_version = split("docs", None)
    assert (of_version.dataset, of_version.name) == ("docs", RENDERED)
    (shard,) = of_version.shards
    assert [sample.key for sample in shard.samples()] == ["rendered_0000", "rendered_0001"]
    before = shard.scan()
    assert before.num_samples == 2
    monkeypatch.setattr(rendered, "VERSION", 3)
    assert split("docs", None).scan().fingerprint != before.fingerprint
