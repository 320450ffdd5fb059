"""A model's own masks and answers: each asked once, also over a stop, and brought to the image's own size."""

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from tiny_encoder import RedFinder, red_finder

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint
from mlcd_eval.features.letterbox import LetterboxedEncoder
from mlcd_eval.features.predict import _mask, predict
from mlcd_eval.support.bundled import demo_data_dir


def ask(tmp_path, count=12, kind="segment", **changes):
    ref = "refer/refdemo/unc/val" if kind == "segment" else "docdemo/val_v1.0_withQT.json"
    dataset = open_dataset(f"{'refer' if kind == 'segment' else 'docvqa'}:{demo_data_dir()}/{ref}")
    asked = dataset.annotations("val")[:count]
    print_ = fingerprint(dataset, "val")
    return asked, predict(red_finder(), dataset.split("val"), asked, kind, print_, tmp_path, **changes)


def test_masks_have_the_images_size_and_are_kept(tmp_path):
    RedFinder.asked = 0
    asked, found = ask(tmp_path)
    assert RedFinder.asked == found.made == 12
    for one in asked:
        assert list(found.by_id[one.sent_id]["size"]) == list(one.size)
    _, again = ask(tmp_path)
    assert (RedFinder.asked, again.made, again.by_id) == (12, 0, found.by_id)
    _, more = ask(tmp_path, count=20)
    assert (RedFinder.asked, more.made) == (20, 8)


def test_a_stopped_run_goes_on_behind_its_last_whole_line(tmp_path):
    _, found = ask(tmp_path)
    [path] = (tmp_path / "predictions").glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]) + lines[5][:20])
    RedFinder.asked = 0
    _, again = ask(tmp_path)
    assert RedFinder.asked == again.made == 7
    assert again.by_id == found.by_id
    assert len(path.read_text().splitlines()) == 12


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_answers_come_in_batches_with_the_prompt_around_the_question(tmp_path, batch_size):
    asked, found = ask(
        tmp_path, kind="answer", batch_size=batch_size, prompt="{question} Say {it}.", max_new_tokens=100
    )
    assert found.by_id[asked[0].question_id] == f"640 {asked[0].text} Say {{it}}."
    _, other = ask(tmp_path, kind="answer", prompt="{question}", max_new_tokens=5)
    assert other.made == 12 and other.by_id[asked[0].question_id] == f"640 {asked[0].text}"[:5]


@pytest.mark.parametrize("change", ["bit", "bytes"])
def test_damaged_responses_are_seen_and_asked_for_again(tmp_path, change):
    _, found = ask(tmp_path)
    [path] = (tmp_path / "predictions").glob("*.jsonl")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    third = bytearray(lines[2])
    if change == "bit":
        third[len(third) // 2] ^= 1
    else:
        third[5:20] = b"\xff\x80\r\n"
    path.write_bytes(b"".join([*lines[:2], third, *lines[3:]]))
    with pytest.warns(UserWarning, match="stored predictions in .* are damaged: they are asked for again"):
        _, again = ask(tmp_path)
    assert (again.made, again.by_id) == (1, found.by_id)
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_out_of_memory_halves_the_questions_asked_together(tmp_path, monkeypatch):
    _, expected = ask(tmp_path / "whole", kind="answer")
    answer, sizes = RedFinder.answer, []

    def small(self, images, questions, max_new_tokens):
        sizes.append(len(questions))
        if len(questions) > 3:
            raise torch.OutOfMemoryError("simulated")
        return answer(self, images, questions, max_new_tokens)

    monkeypatch.setattr(RedFinder, "answer", small)
    _, found = ask(tmp_path / "small", kind="answer", batch_size=12)
    assert found.by_id == expected.by_id
    assert sizes == [12, 6, 3, 3, 3, 3]


def test_logits_are_scaled_before_they_are_cut():
    logits = np.array([[-3.0, 1.0]])
    assert _mask(logits, (4, 1)).tolist() == [[False, False, False, True]]  # -3, -2, 0, 1: half a pixel from the middle
    assert _mask(np.array([[True, False]]), (2, 1)).tolist() == [[True, False]]
    assert _mask(np.ones((1, 3, 5), np.uint8), (5, 3)).all()


def test_whole_images_lose_nothing_and_have_features_of_their_own():
    encoder = red_finder()
    whole = LetterboxedEncoder(encoder)
    image = Image.new("RGB", (64, 16), (255, 0, 0))
    pixels = whole.preprocess(image)
    assert pixels.shape == (3, 8, 8)
    assert (pixels[0, 0] > 0.9).all() and (pixels[0, -1] < 0.6).all()  # the image on top, the ground below
    assert whole.info.preprocessing != encoder.info.preprocessing
    assert encoder.preprocess(image)[0, -1, 0] > 0.9


def test_coco_reads_what_is_kept(tmp_path):
    asked, found = ask(tmp_path, count=3)
    for one in asked:
        assert coco.decode(found.by_id[one.sent_id]).shape == one.size
