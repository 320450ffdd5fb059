"""Files of predictions, as other programs write them."""

import json

import numpy as np
import pytest

from mlcd_eval.data.annotations import Expression, Question
from mlcd_eval.data.predictions import read_answers, read_masks
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.segmentation import encode

MASKS = [encode(np.arange(16).reshape(4, 4) == cell) for cell in range(4)]
TWICE = [
    Expression(number, 7, "0", text, (4, 4), MASKS[0])
    for number, text in ((1, "man on right"), (2, "guy"), (3, "man on right"))
]


def masks_file(folder, *rows):
    path = folder / "masks.jsonl"
    lines = [{"ref_id": 7, "sentence": text, "segmentation": MASKS[mask]} for text, mask in rows]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_a_sentence_that_a_ref_has_twice_is_answered_in_order(tmp_path):
    path = masks_file(tmp_path, ("man on right", 1), ("guy", 2), ("man on right", 3))
    assert read_masks(path, TWICE) == {1: MASKS[1], 2: MASKS[2], 3: MASKS[3]}


def test_a_single_answer_serves_both(tmp_path):
    path = masks_file(tmp_path, ("man on right", 1), ("guy", 2))
    assert read_masks(path, TWICE) == {1: MASKS[1], 2: MASKS[2], 3: MASKS[1]}


def test_answers_that_are_too_many_or_unknown_are_told(tmp_path):
    with pytest.raises(DataError, match="1 repeated sent_ids, first 3"):
        read_masks(masks_file(tmp_path, ("guy", 2), *[("man on right", mask) for mask in (1, 2, 3)]), TWICE)
    with pytest.raises(DataError, match="1 unknown sent_ids, first ref_id 7 with 'gal'"):
        read_masks(masks_file(tmp_path, ("gal", 2)), TWICE)


def test_a_list_of_codes_is_united_and_an_empty_one_is_nothing(tmp_path):
    path = tmp_path / "masks.json"
    segmentations = [[MASKS[1], MASKS[2]], [], MASKS[3]]
    rows = [{"sent_id": number, "segmentation": mask} for number, mask in enumerate(segmentations, start=1)]
    path.write_text(json.dumps(rows))
    masks = read_masks(path, TWICE)
    assert masks[1] == encode(np.isin(np.arange(16).reshape(4, 4), (1, 2)))
    assert masks[2] == encode(np.zeros((4, 4))) and masks[3] == MASKS[3]


def test_a_file_that_is_nested_too_deeply_is_no_bug(tmp_path):
    path = tmp_path / "masks.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="cannot be read as JSONL or a JSON list"):
        read_masks(path, TWICE)


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_only_a_newline_ends_a_line(tmp_path, mark):
    path = tmp_path / "answers.jsonl"
    rows = [{"questionId": number, "answer": f"a{mark}b"} for number in (1, 2)]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    questions = [Question(number, "p", "p", "?", ("x",)) for number in (1, 2)]
    assert read_answers(path, questions) == {1: f"a{mark}b", 2: f"a{mark}b"}


@pytest.mark.parametrize("text", ['{"questionId": 1, "answer": "x"}\r\n', '[{"questionId": 1, "answer": "x"}]'])
def test_a_byte_order_mark_is_borne(tmp_path, text):
    path = tmp_path / "answers.json"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_answers(path, [Question(1, "p", "p", "?", ("x",))]) == {1: "x"}


def test_ids_are_compared_by_their_text_whatever_they_are(tmp_path):
    path = tmp_path / "masks.json"
    rows = [{"ref_id": "7", "sentence": text, "segmentation": MASKS[0]} for text in ("man on right", "guy")]
    path.write_text(json.dumps(rows))
    assert set(read_masks(path, TWICE)) == {1, 2, 3}
    for extra in ({"ref_id": [7], "sentence": "guy"}, {"sent_id": {"a": 1}}):
        path.write_text(json.dumps([*rows, {**extra, "segmentation": MASKS[0]}]))
        with pytest.raises(DataError, match="1 unknown sent_ids"):
            read_masks(path, TWICE)
