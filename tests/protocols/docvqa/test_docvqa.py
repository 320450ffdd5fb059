"""DocVQA's protocol: answers from anywhere, intervals over documents, types of questions, the reading probe."""

from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from protocol_inputs import values
from tiny_encoder import TinyEncoder, red_finder

from mlcd_eval.data import open_dataset, rendered
from mlcd_eval.data.annotations import Question
from mlcd_eval.data.base import num_scored
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.docvqa.protocol import DocVQA, DocVQASettings
from mlcd_eval.support.bundled import demo_data_dir

DOCDEMO = demo_data_dir() / "docdemo" / "val_v1.0_withQT.json"
PROTOCOL = DocVQA()
QUESTIONS = [
    Question(1, "p1", "d1", "Who?", ("Anna",), ("form",)),
    Question(2, "p1", "d1", "When?", ("1990", "in 1990"), ("form", "layout")),
    Question(3, "p2", "d2", "What?", ("ink",), ("layout",)),
]


def inputs(answers, questions=QUESTIONS):
    predictions = {question.question_id: answer for question, answer in zip(questions, answers, strict=True)}
    return Inputs(images={}, annotations={"test": questions}, predictions=predictions)


def test_scores_types_and_samples():
    scores = PROTOCOL.score(DocVQASettings(mode="native"), inputs(["ANNA ", "in 1991", "paper"]))
    assert values(scores)["anls"] == pytest.approx((1 + (1 - 1 / 7) + 0) / 3)
    assert values(scores)["character_error_rate"] == pytest.approx((0 + 1 + 5) / (4 + 7 + 3))
    assert scores.primary == "anls" and scores.details["num_documents"] == 2
    by_type = {kind: (round(row["value"], 6), row["num_scored"]) for kind, row in scores.details["by_type"].items()}
    assert by_type == {"form": (round((1 + 6 / 7) / 2, 6), 2), "layout": (round(6 / 7 / 2, 6), 2)}
    assert scores.samples["answer"] == ["ANNA ", "in 1991", "paper"] and scores.samples["key"] == [1, 2, 3]
    low, high = scores.metrics[0].ci95
    assert low == pytest.approx(0, abs=1e-9) and high == pytest.approx((1 + 6 / 7) / 2)  # of two documents


def test_other_metrics_by_setting():
    scores = PROTOCOL.score(DocVQASettings(mode="native", metric="relaxed_accuracy"), inputs(["anna", "1500", "ink"]))
    assert scores.primary == "relaxed_accuracy" and scores.metrics[0].value == pytest.approx(2 / 3)
    assert [metric.name for metric in scores.metrics] == ["relaxed_accuracy", "character_error_rate"]


def test_questions_without_answers_are_not_scored():
    hidden = [Question(1, "p", "d", "Who?", None)]
    with pytest.raises(DataError, match="1 of 1 questions have no answers"):
        PROTOCOL.score(DocVQASettings(mode="native"), inputs(["x"], hidden))


def test_a_models_own_answers_have_no_controls():
    assert PROTOCOL.controls(DocVQASettings(mode="native"), inputs(["Anna", "1990", "ink"])) == []


def test_modes():
    assert PROTOCOL.for_model(DocVQASettings(), red_finder().info).mode == "native"
    assert PROTOCOL.for_model(DocVQASettings(), TinyEncoder().info).mode == "probe"
    with pytest.raises(IncompatibleError, match="answers no questions"):
        PROTOCOL.for_model(DocVQASettings(mode="native"), TinyEncoder().info)
    with pytest.raises(ValueError, match="in the prompt"):
        DocVQASettings(prompt="What?")


def pixels(pages, side, patch=16):
    """Pixels of patches as features of pages, which are put at the upper left of a square as the letterbox does."""
    grids = []
    for page in pages:
        square = Image.new("L", (max(page.size),) * 2, 117)
        square.paste(page.convert("L"), (0, 0))
        grey = torch.tensor(np.array(square.resize((side, side), Image.Resampling.BICUBIC))) / 255
        grids.append(torch.nn.functional.pixel_unshuffle(grey[None], patch).permute(1, 2, 0))
    return torch.stack(grids).numpy()


def test_the_probe_reads_pages_and_says_from_which_height_on():
    dataset = open_dataset(f"docvqa:{DOCDEMO}")
    shown, questions = list(islice(rendered.pages(), 5)), dataset.annotations("val")[:6]
    asked = dict.fromkeys(question.image for question in questions)
    images = {
        "rendered": Features(pixels([page.image for page in shown], 448), [page.key for page in shown]),
        "test": Features(pixels([Image.open(DOCDEMO.parent / page) for page in asked], 448), list(asked)),
    }
    words = [word for word in rendered.words() if word.image in images["rendered"].keys]
    given = Inputs(images=images, annotations={"rendered": words, "test": questions}, image_side=448)
    scores = PROTOCOL.score(DocVQASettings(mode="probe"), given)
    reading = scores.details["reading"]
    assert values(scores)["anls"] > 0.5  # most of six answers, by a rule that finds five with true lines
    assert (reading["pages_learned"], reading["pages_measured"]) == (4, 1)
    assert reading["words"] == sum(word.image == shown[4].key for word in words)
    assert reading["smallest_legible_letter"] in (4, 6) and reading["word_accuracy"] > 0.4
    assert sum(entry["words"] for entry in reading["curve"]) == reading["words"]
    assert scores.details["recipe"] == 2


def test_the_probe_needs_no_train_split_and_scores_no_rendered_page():
    settings = DocVQASettings(mode="probe")
    assert {role: request.split for role, request in PROTOCOL.requests(settings, ("rendered", "val")).items()} == {
        "rendered": "rendered",
        "test": "val",
    }
    with pytest.raises(IncompatibleError, match=r"reads the split 'rendered': got val"):
        PROTOCOL.scored_split(DocVQASettings(split="rendered"), ("rendered", "val"))
    for splits in (("rendered", "train"), ("rendered", "train", "val", "test")):
        with pytest.raises(
            IncompatibleError, match=r"^docvqa scores one split: got train.*, expected settings\.split$"
        ):
            PROTOCOL.scored_split(DocVQASettings(), splits)
    assert PROTOCOL.scored_split(DocVQASettings(split="train"), ("rendered", "train", "val")) == "train"


def test_the_bundled_pages_have_a_rendered_split_besides_their_own():
    dataset = open_dataset(f"docvqa:{DOCDEMO}")
    assert dataset.splits == ("rendered", "val") and num_scored(dataset, "val") == 72
    assert dataset.split("val").scan().num_samples == 24
    pages = {sample.key for sample in islice(dataset.split("rendered").shards[0].samples(), 3)}
    assert pages == {"rendered_0000", "rendered_0001", "rendered_0002"}
    assert pages < {word.image for word in dataset.annotations("rendered")}
