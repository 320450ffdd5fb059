"""Questions by `datasets`, in the columns of lmms-lab's copies, saved and read locally."""

import hashlib

import numpy as np
import pytest
from PIL import Image as PILImage

from mlcd_eval.data import open_dataset
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import DataError

datasets = pytest.importorskip("datasets")
from datasets import Dataset, DatasetDict, Features, Image, Sequence, Value  # noqa: E402

TEXT, TEXTS = Value("string"), Sequence(Value("string"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf_cache"))
    datasets.disable_progress_bars()


def save(folder, features, split, greys=None, **columns):
    greys = greys or [10 * n for n in range(len(columns["question"]))]
    columns["image"] = [PILImage.fromarray(np.full((4, 5, 3), grey, np.uint8)) for grey in greys]
    dataset = Dataset.from_dict(columns, features=Features({"image": Image(), "question": TEXT, **features}))
    DatasetDict({split: dataset}).save_to_disk(folder)
    return open_dataset(f"hf-vqa:{folder}", offline=True)


def test_docvqa_columns(tmp_path):
    dataset = save(
        tmp_path / "d",
        {"questionId": TEXT, "question_types": TEXTS, "answers": TEXTS, "ucsf_document_id": TEXT,
         "ucsf_document_page_no": TEXT},
        "validation",
        question=["a?", "b?", "c?"],
        questionId=["7", "8", "9"],
        question_types=[["form"], ["form", "layout"], []],
        answers=[["x"], ["y", "z"], ["w"]],
        ucsf_document_id=["p", "p", "q"],
        ucsf_document_page_no=["1", "1", "2"],
    )  # fmt: skip
    assert dataset.kind == "docvqa" and dataset.splits == ("rendered", "val")
    first, second, third = dataset.annotations("val")
    assert (second.question_id, second.image, second.document, second.answers) == ("8", "p_1", "p", ("y", "z"))
    assert second.types == ("form", "layout") and first.text == "a?" and third.image == "q_2"
    samples = [sample for shard in dataset.split("val").shards for sample in shard.samples()]
    assert [sample.key for sample in samples] == ["p_1", "q_2"]
    assert decode(samples[1].image, "q_2").getpixel((0, 0)) == (20, 20, 20)  # the third row's
    assert dataset.annotations("rendered")[0].image == "rendered_0000"


def test_chartqa_columns_without_ids(tmp_path):
    """Questions on one chart share its document, though no column names the chart: it is known by its bytes."""
    dataset = save(
        tmp_path / "d", {"type": TEXT, "answer": TEXT}, "test", question=["a?", "b?", "c?"],
        type=["human", "augmented", "human"], answer=["14", "yes", "2"], greys=[10, 20, 10],
    )  # fmt: skip
    first, second, third = dataset.annotations("test")
    assert (first.question_id, first.answers, first.types) == (0, ("14",), ("human",))
    assert first.image == first.document == third.image == third.document != second.image
    assert len(first.image) == 16 and int(first.image, 16)
    samples = [sample for shard in dataset.split("test").shards for sample in shard.samples()]
    assert [sample.key for sample in samples] == [first.image, second.image]
    assert first.image == hashlib.sha256(samples[0].image).hexdigest()[:16]


def test_infographicvqa_columns(tmp_path):
    """Its questions share images by address only; an interval over documents needs to know."""
    dataset = save(
        tmp_path / "d", {"answer_type": TEXTS, "answers": TEXTS, "image_url": TEXT}, "validation",
        question=["a?", "b?", "c?"], answers=[["x"]] * 3, answer_type=[["single span"], [], ["non-extractive"]],
        image_url=["http://a/1.jpg", "http://a/1.jpg", "http://a/2.jpg"],
    )  # fmt: skip
    first, second, third = dataset.annotations("val")
    assert first.document == second.document == first.image == "http://a/1.jpg" != third.document
    assert (first.types, second.types) == (("single span",), ())
    assert dataset.split("val").scan().num_samples == 2


def test_repeated_ids_become_rows_and_hidden_answers_none(tmp_path):
    columns = {"question": ["a?", "b?"], "question_id": ["1", "1"], "answers": [None, None]}
    dataset = save(tmp_path / "d", {"question_id": TEXT, "answers": TEXTS}, "test", **columns)
    assert [question.question_id for question in dataset.annotations("test")] == [0, 1]
    assert all(question.answers is None for question in dataset.annotations("test"))
    with pytest.raises(DataError, match="d has no split 'val': got one of rendered, test"):
        dataset.split("val")
    rendered = dataset.split("rendered")
    assert (rendered.dataset, rendered.name) == ("d", "rendered") and rendered.shards


def test_what_is_missing_is_told(tmp_path):
    dataset = Dataset.from_dict({"text": ["a"]})
    DatasetDict({"test": dataset}).save_to_disk(tmp_path / "d")
    with pytest.raises(DataError, match="has no column 'question': got text"):
        open_dataset(f"hf-vqa:{tmp_path}/d", offline=True)
