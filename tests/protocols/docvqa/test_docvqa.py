"""DocVQA's protocol: answers from anywhere, intervals over documents, types of questions, the reading probe."""

import numpy as np
import pytest
import torch
from protocol_inputs import values
from tiny_encoder import TinyEncoder, red_finder

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import Question, num_scored
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.docvqa import reading_head
from mlcd_eval.protocols.docvqa.protocol import DocVQA, DocVQASettings
from mlcd_eval.protocols.docvqa.reading_head import LONGEST_QUESTION, ReadingHead, spell, unspell
from mlcd_eval.support.bundled import demo_data_dir

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


def test_modes():
    assert PROTOCOL.for_model(DocVQASettings(), red_finder().info).mode == "native"
    assert PROTOCOL.for_model(DocVQASettings(), TinyEncoder().info).mode == "probe"
    with pytest.raises(IncompatibleError, match="answers no questions"):
        PROTOCOL.for_model(DocVQASettings(mode="native"), TinyEncoder().info)
    with pytest.raises(ValueError, match="in the prompt"):
        DocVQASettings(prompt="What?")


def test_the_probe_reads_what_patches_hold(monkeypatch):
    """A page's one patch is one of four digits' codes; the answer is that digit, spelled. With a small head and a short
    warm-up, so that few steps are enough; test_recipes.py holds the recipe itself."""
    small = {
        "WIDTH": 32,
        "LAYERS": 1,
        "LONGEST_QUESTION": 12,
        "LONGEST_ANSWER": 6,
        "BATCH": 32,
        "WARMUP": 10,
        "LR": 1e-2,
    }
    for name, number in small.items():
        monkeypatch.setattr(reading_head, name, number)
    digits = np.random.default_rng(0).integers(4, size=40)
    images = Features(np.eye(4, dtype=np.float32)[digits][:, None, None], [f"p{n}" for n in range(40)])
    names = ("zero", "one", "two", "three")
    questions = [Question(n, f"p{n}", f"p{n}", "Which digit?", (names[d],)) for n, d in enumerate(digits)]
    given = Inputs(images={"train": images, "test": images}, annotations={"train": questions, "test": questions})
    scores = PROTOCOL.score(DocVQASettings(mode="probe", steps=80), given)
    assert scores.metrics[0].value == 1.0
    assert scores.details["recipe"] == 1 and scores.details["num_train"] == 40


def test_a_question_without_a_known_character_is_read_all_the_same():
    head = ReadingHead(4, (2, 2)).eval()
    patches, questions = torch.zeros(2, 2, 2, 4), spell(["何ですか", "What?"], LONGEST_QUESTION)
    with torch.inference_mode():
        logits = head(head.memory(patches, questions), torch.ones(2, 1, dtype=torch.int64))
        alone = head(head.memory(patches[1:], questions[1:]), torch.ones(1, 1, dtype=torch.int64))
    assert logits.isfinite().all()
    assert logits[1].numpy() == pytest.approx(alone[0].numpy(), abs=1e-5)


def test_spelling():
    codes = spell(["Ab c!", "é日"], 7, ends=True)
    assert unspell(codes[0]) == "ab c!" and unspell(codes[1]) == ""
    assert spell(["abcdef"], 3, ends=True)[0].tolist()[-1] == 2  # cut, and ended


@pytest.mark.slow
def test_the_bundled_pages_have_a_rendered_train_split():
    dataset = open_dataset(f"docvqa:{demo_data_dir()}/docdemo/val_v1.0_withQT.json")
    assert dataset.splits == ("train", "val") and num_scored(dataset, "val") == 72
    assert dataset.split("val").scan().num_samples == 24 and dataset.split("train").scan().num_samples == 400
    train = dataset.annotations("train")
    assert len(train) == 2400 and all(question.answers for question in train)
    pages = {sample.key for sample in dataset.split("train").shards[0].samples()}
    assert {question.image for question in train} == pages
