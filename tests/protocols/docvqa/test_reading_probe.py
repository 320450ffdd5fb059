"""The reading probe: its parts against hand-made pages and an independent ridge regression, and its controls."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mlcd_eval.data.lettering import FACES, line_height
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.docvqa import controls, legibility, lines
from mlcd_eval.protocols.docvqa.found_words import find_lines
from mlcd_eval.protocols.docvqa.ink import PENALTIES, cells_of, learn_ink
from mlcd_eval.protocols.docvqa.lines import Line
from mlcd_eval.protocols.docvqa.reader import CHARACTERS, columns, crops, read, spell, unspell
from mlcd_eval.protocols.docvqa.reading_probe import measure_reading


def test_the_curve_by_hand():
    heights, texts = [5, 5, 11, 13], ["ab", "Cd", "abc", "efgh"]
    entries = legibility.curve(heights, texts, ["ab", "xyzz", "ABC", "efg"])
    assert [(e["from"], e["to"], e["words"], e["characters"]) for e in entries] == [
        (4, 6, 2, 4),
        (10, 12, 1, 3),
        (12, 16, 1, 4),
    ]
    assert [e["word_accuracy"] for e in entries] == [0.5, 1, 0]
    assert [e["character_accuracy"] for e in entries] == [0.5, 1, 0.75]  # no word has fewer than none of its characters
    assert legibility.word_accuracy(entries) == (0.5, 4)
    assert legibility.word_accuracy(entries, least=10) == (0.5, 2)
    assert legibility.word_accuracy(entries, least=16) == (None, 0)
    assert legibility.character_accuracy(entries) == pytest.approx((2 + 3 + 3) / 11)


def test_the_smallest_legible_letter_needs_half_of_enough_words():
    texts = ["a"] * 60
    heights = [5] * 20 + [7] * 20 + [9] * 19 + [40]
    entries = legibility.curve(heights, texts, ["a"] * 9 + ["b"] * 11 + ["a"] * 10 + ["b"] * 10 + ["a"] * 20)
    assert legibility.smallest_legible(entries) == 6  # 9 of 20 are too few at 4, and 19 words at 8
    assert legibility.smallest_legible(entries[:1]) is None


def test_the_map_is_the_ridge_regression_of_standardised_features():
    chance = np.random.default_rng(0)
    patches = chance.normal(size=(8, 3, 3, 5)) * [1, 2, 0.1, 30, 1] + 4
    ink = chance.random((8, 6, 6))
    learned = learn_ink(
        lambda page: torch.tensor(patches[int(page)], dtype=torch.float32),
        lambda page: torch.tensor(ink[int(page)], dtype=torch.float32),
        [str(page) for page in range(8)],
        cells=2,
    )
    features = patches.reshape(-1, 5)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    targets = ink.reshape(8, 3, 2, 3, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4)  # a patch's cells, row by row
    reference = Ridge(alpha=len(features) * learned.penalty).fit(scaled, targets)
    expected = reference.predict(scaled)
    mine = learned.field(torch.tensor(patches[3], dtype=torch.float32)).numpy()
    cells = expected.reshape(8, 3, 3, 2, 2)[3].transpose(0, 2, 1, 3).reshape(6, 6)
    assert learned.penalty in PENALTIES and mine == pytest.approx(cells, abs=1e-5)


def test_pixels_hold_all_ink_and_constant_features_none():
    chance = torch.Generator().manual_seed(0)
    pages = {str(page): torch.rand(8, 8, generator=chance) for page in range(8)}
    whole = learn_ink(
        lambda page: pages[page].reshape(2, 4, 2, 4).permute(0, 2, 1, 3).reshape(2, 2, 16), pages.get, [*pages], 4
    )
    assert (
        whole.explained > 0.99
        and (whole.field(pages["0"].reshape(2, 4, 2, 4).permute(0, 2, 1, 3).reshape(2, 2, 16)) - pages["0"]).abs().max()
        < 0.05
    )
    nothing = learn_ink(lambda page: torch.ones(2, 2, 3), pages.get, [*pages], 4)
    assert nothing.explained < 0.1 and nothing.field(torch.ones(2, 2, 3)).isfinite().all()


def test_a_cell_is_a_pixel_up_to_32_on_a_side():
    assert [cells_of((14, 14), 224), cells_of((7, 7), 224), cells_of((2, 2), 224), cells_of((16, 16), 8)] == [
        16,
        32,
        32,
        1,
    ]


def test_spelling():
    assert unspell([0, 3, 3, 0, 3, 0, 1, 1]) == CHARACTERS[2] * 2 + "a"
    assert "".join(CHARACTERS[code - 1] for code in spell("Aé1 b")) == "a1b"


def page_of(*placed):
    """Ink of words (text, capital, x, y), and their boxes."""
    page, boxes = np.zeros((300, 400), np.float32), []
    for text, capital, x, y in placed:
        mask = FACES[0].mask(text, capital) / 255
        page[y : y + len(mask), x : x + mask.shape[1]] += mask
        boxes.append((x, y, x + mask.shape[1], y + line_height(capital)))
    return page, torch.tensor(boxes, dtype=torch.float32)


def test_clear_words_are_read_at_every_size():
    page, boxes = page_of(("Quantity", 10, 5, 5), ("12090.00", 20, 5, 40), ("Pen", 60, 5, 90), ("A-77870", 14, 5, 220))
    assert read(torch.tensor(page), boxes) == ["quantity", "12090.00", "pen", "a-77870"]
    assert read(torch.tensor(page), boxes[:0]) == []
    assert read(torch.zeros(300, 400), boxes[:1]) == [""] or len(read(torch.zeros(300, 400), boxes[:1])[0]) < 3


def test_a_words_crop_does_not_depend_on_its_neighbours_in_the_batch():
    page, boxes = page_of(("short", 12, 5, 5), ("muchlongerword", 12, 5, 60))
    alone, both = crops(torch.tensor(page), boxes[:1]), crops(torch.tensor(page), boxes)
    wide = int(columns(boxes[:1])[0])
    assert torch.equal(both[:1, ..., :wide], alone[..., :wide]) and not both[0, ..., wide:].any()


def test_lines_and_words_are_found():
    page, _ = page_of(("Unit", 14, 10, 20), ("price", 14, 52, 20), ("83.00", 14, 300, 21), ("Total:", 14, 10, 80))
    page[60:62, 5:395] = 1  # a rule
    page[200:290, 20:200] = 1  # a picture
    lines = find_lines(page)
    assert [len(line.words) for line in lines] == [2, 1, 1]
    (left, top, right, bottom), boxes = lines[0].box, lines[0].words
    assert abs(left - 10) <= 4 and abs(right - 92) < 12 and 18 <= top <= 24 and 38 <= bottom <= 44
    assert boxes[0][2] < boxes[1][2] and boxes[1][0] > 40
    assert lines[1].box[0] >= 299 and find_lines(np.zeros((50, 50), np.float32)) == []


def test_two_pages_are_needed():
    with pytest.raises(DataError, match="got 1, expected at least 2"):
        measure_reading(lambda page: torch.ones(2, 2, 3), ["rendered_0000"], [], 64)


def test_pixels_are_read_and_noise_is_not(monkeypatch):
    from mlcd_eval.data.rendered import words

    monkeypatch.setattr(controls, "PAGES", 10)
    monkeypatch.setattr(controls, "SIDES", (448,))
    monkeypatch.setattr(controls, "PATCH", 16)  # of which few pages have enough
    pixels, noise = controls.reading_controls(words(), seed=0)
    assert pixels.positive and pixels.holds and pixels.num_scored > 10
    assert not noise.positive and noise.holds and noise.value < 0.01 and noise.num_scored == pixels.num_scored


@pytest.mark.parametrize(("width", "is_line"), [(80, True), (81, False)])
def test_a_rule_is_more_than_eight_times_as_wide_as_high(width, is_line):
    page = np.zeros((1000, 200), np.float32)
    page[20:30, 10 : 10 + width] = 1.0
    assert bool(find_lines(page)) is is_line


def test_a_cell_is_under_a_heading_that_is_above_its_row():
    """A heading ends above the middle of the row, or the row is no row of its column."""
    row, cell = Line("Sales", 0, 20, 40, 40), Line("7", 60, 21, 70, 39)
    for bottom, found in ((20, cell), (30, cell), (31, None)):
        heading = Line("2019", 55, 0, 80, bottom)
        assert lines._cell(row, heading, [row, cell, heading]) == found
    assert lines._cell(row, Line("2018", 0, 0, 40, 10), [row, cell]) is None  # not to its right
