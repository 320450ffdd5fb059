"""A model's own masks and answers: each is made once, also across a stop, and masks have the image's own size."""

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco
from tiny_encoder import RedFinder, red_finder

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import fingerprint
from mlcd_eval.errors import DataError
from mlcd_eval.features import predict as predict_module
from mlcd_eval.features.letterbox import LetterboxedEncoder
from mlcd_eval.features.predict import _mask, predict
from mlcd_eval.support.bundled import demo_data_dir


def predict_demo(tmp_path, count=12, ability="segment", **changes):
    """The first `count` annotations of a demo data set, and RedFinder's predictions for them."""
    segments = ability == "segment"
    path = "refer/refdemo/unc/val" if segments else "docdemo/val_v1.0_withQT.json"
    dataset = open_dataset(f"{'refer' if segments else 'docvqa'}:{demo_data_dir()}/{path}")
    annotations = dataset.annotations("val")[:count]
    data = fingerprint(dataset, "val")
    predictions = predict(red_finder(), dataset.split("val"), annotations, ability, data, tmp_path, **changes)
    return annotations, predictions


def test_masks_have_the_images_size_and_are_stored(tmp_path):
    RedFinder.asked = 0
    annotations, predictions = predict_demo(tmp_path)
    assert RedFinder.asked == predictions.made == 12
    for expression in annotations:
        assert list(predictions.by_id[expression.sent_id]["size"]) == list(expression.size)
    _, again = predict_demo(tmp_path)
    assert (RedFinder.asked, again.made, again.by_id) == (12, 0, predictions.by_id)
    _, more = predict_demo(tmp_path, count=20)
    assert (RedFinder.asked, more.made) == (20, 8)


def test_one_run_at_a_time_predicts(tmp_path, monkeypatch):
    held, real = [], predict_module.FileLock
    monkeypatch.setattr(predict_module, "FileLock", lambda path: held.append(path.parent.name) or real(path))
    predict_demo(tmp_path, count=1)
    assert held == ["predictions"]


def test_a_stopped_run_resumes_after_its_last_complete_line(tmp_path):
    _, predictions = predict_demo(tmp_path)
    [path] = (tmp_path / "predictions").glob("*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]) + lines[5][:20])
    RedFinder.asked = 0
    _, again = predict_demo(tmp_path)
    assert RedFinder.asked == again.made == 7
    assert again.by_id == predictions.by_id
    assert len(path.read_text().splitlines()) == 12


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_answers_come_in_batches_with_the_prompt_around_the_question(tmp_path, batch_size):
    prompt = "{question} Say {it}."
    annotations, predictions = predict_demo(
        tmp_path, ability="answer", batch_size=batch_size, prompt=prompt, max_new_tokens=100
    )
    first = annotations[0]
    assert predictions.by_id[first.question_id] == f"640 {first.text} Say {{it}}."
    _, other = predict_demo(tmp_path, ability="answer", prompt="{question}", max_new_tokens=5)
    assert other.made == 12 and other.by_id[first.question_id] == f"640 {first.text}"[:5]


def test_predictions_that_disappear_in_a_run_are_an_error(tmp_path, monkeypatch):
    segment = RedFinder.segment

    def remove(self, *args):
        for path in (tmp_path / "predictions").glob("*.jsonl"):
            path.unlink()
        return segment(self, *args)

    monkeypatch.setattr(RedFinder, "segment", remove)
    with pytest.raises(DataError, match=r"/predictions/\w+\.0\.jsonl disappeared: expected the cache to stay while"):
        predict_demo(tmp_path)


@pytest.mark.parametrize("change", ["bit", "bytes"])
def test_damaged_predictions_are_detected_and_made_again(tmp_path, change):
    _, predictions = predict_demo(tmp_path)
    [path] = (tmp_path / "predictions").glob("*.jsonl")
    intact = path.read_bytes()
    lines = intact.splitlines(keepends=True)
    third = bytearray(lines[2])
    if change == "bit":
        third[len(third) // 2] ^= 1
    else:
        third[5:20] = b"\xff\x80\r\n"
    path.write_bytes(b"".join([*lines[:2], third, *lines[3:]]))
    with pytest.warns(UserWarning, match="stored predictions in .* are damaged: they are made again"):
        _, again = predict_demo(tmp_path)
    assert (again.made, again.by_id) == (1, predictions.by_id)
    assert sorted(path.read_bytes().splitlines()) == sorted(intact.splitlines())


def test_out_of_memory_halves_the_questions_asked_together(tmp_path, monkeypatch):
    _, expected = predict_demo(tmp_path / "whole", ability="answer")
    answer, sizes = RedFinder.answer, []

    def small(self, images, questions, max_new_tokens):
        sizes.append(len(questions))
        if len(questions) > 3:
            raise torch.OutOfMemoryError("simulated")
        return answer(self, images, questions, max_new_tokens)

    monkeypatch.setattr(RedFinder, "answer", small)
    _, predictions = predict_demo(tmp_path / "small", ability="answer", batch_size=12)
    assert predictions.by_id == expected.by_id
    assert sizes == [12, 6, 3, 3, 3, 3]


def test_logits_are_resized_before_they_are_thresholded():
    logits = np.array([[-3.0, 1.0]])
    assert _mask(logits, (4, 1)).tolist() == [[False, False, False, True]]  # -3, -2, 0, 1: half a pixel from the middle
    assert _mask(np.array([[True, False]]), (2, 1)).tolist() == [[True, False]]
    assert _mask(np.ones((1, 3, 5), np.uint8), (5, 3)).all()


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int32, np.int64, np.float32])
def test_masks_of_any_type_and_leading_ones(kind):
    """Zeros and ones are cut at a half; in logits a zero is outside."""
    mask = np.array([[0, 1, 1], [0, 0, 1]]).astype(kind)
    for given in (mask, mask[None], mask[None, None]):
        assert _mask(given, (3, 2)).tolist() == [[False, True, True], [False, False, True]]
    assert _mask(mask[:1, :2], (4, 1)).tolist() == [[False, kind is np.float32, True, True]]  # 0, 1/4, 3/4, 1
    assert _mask(mask, (6, 4)).shape == (4, 6)
    with pytest.raises(AssertionError, match=r"segment returned \(2, 2, 3\), expected \(h, w\)"):
        _mask(np.stack([mask, mask]), (3, 2))


def test_predictions_are_kept_for_what_they_depend_on(tmp_path):
    """Another prompt, length, precision or data is another file; another batch size is not."""
    dataset = open_dataset(f"docvqa:{demo_data_dir()}/docdemo/val_v1.0_withQT.json")
    annotations = dataset.annotations("val")[:2]

    def made(ability="answer", fingerprint="f", **changes):
        split = dataset.split("val")
        return predict(red_finder(), split, annotations, ability, fingerprint, tmp_path, **changes).made

    assert made() == 2
    assert made(precision="fp32", prompt="{question}", max_new_tokens=32, batch_size=2) == 0  # the defaults
    changes = ({"precision": "bf16"}, {"prompt": "{question}!"}, {"max_new_tokens": 31}, {"fingerprint": "g"})
    assert [made(**change) for change in changes] == [2] * 4
    assert len(list((tmp_path / "predictions").glob("*.jsonl"))) == 5


def test_progress_counts_stored_predictions_first(tmp_path):
    done = []
    predict_demo(tmp_path, count=3, batch_size=2, advance=done.append)
    assert done == [0, 2, 1]
    done.clear()
    predict_demo(tmp_path, count=5, batch_size=2, advance=done.append)
    assert done == [3, 2]


def test_letterboxed_images_are_complete_and_their_features_have_another_key():
    encoder = red_finder()
    letterboxed = LetterboxedEncoder(encoder)
    image = Image.new("RGB", (64, 16), (255, 0, 0))
    pixels = letterboxed.preprocess(image)
    assert pixels.shape == (3, 8, 8)
    assert (pixels[0, 0] > 0.9).all() and (pixels[0, -1] < 0.6).all()  # the image on top, the padding below
    assert letterboxed.info.preprocessing != encoder.info.preprocessing
    assert encoder.preprocess(image)[0, -1, 0] > 0.9


def test_pycocotools_decodes_stored_masks(tmp_path):
    annotations, predictions = predict_demo(tmp_path, count=3)
    for expression in annotations:
        assert coco.decode(predictions.by_id[expression.sent_id]).shape == expression.size
