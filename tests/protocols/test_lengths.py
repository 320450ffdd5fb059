"""Captions that a model cuts, and recall by the length of captions."""

import pytest
from protocol_inputs import features, text_encoder, values

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.retrieval.protocol import Retrieval
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings

VECTORS = {"east": [2.0, 0.0], "to the north": [0.0, 3.0], "north and a little east": [0.6, 0.8]}
IMAGES = [[10.0, 0.0], [0.4, 0.3], [0.0, 1.0]]
CAPTIONS = [("north and a little east",), ("east",), ("to the north",)]


def score(captions=CAPTIONS, context=4, counts=lambda texts: [len(text.split()) for text in texts], **settings):
    given = Inputs(
        {"test": features(IMAGES, texts=captions)}, text_encoder(VECTORS), count_tokens=counts, context_length=context
    )
    return Retrieval().score(RetrievalSettings(ks=(1,), **settings), given)


def test_what_is_cut_is_counted():
    known = {"context_length": 4, "num_texts": 3, "num_truncated": 1, "longest": 5}
    assert score().details["truncation"] == known
    assert score(most_truncated=0.34).details["truncation"] == known
    assert score(context=5, most_truncated=0).details["truncation"]["num_truncated"] == 0
    unknown = {"context_length": None, "num_texts": 3, "num_truncated": None, "longest": None}
    assert score(context=None, most_truncated=0).details["truncation"] == unknown
    assert score(counts=lambda _: None).details["truncation"] == {**unknown, "context_length": 4}


def test_more_than_the_share_that_may_be_cut():
    with pytest.raises(
        IncompatibleError, match=r"cuts 1 of 3 captions at 4 tokens: got 33\.3%, expected at most 30\.0%"
    ):
        score(most_truncated=0.3)


def test_recall_by_the_number_of_words():
    scores = score(length_bins=(1, 4))
    rows = scores.details["by_length"]
    assert [row["words"] for row in rows[::2]] == [[1, 1], [2, 4], [5, None]]
    found = {(row["metric"], row["words"][0]): (row["value"], row["num_scored"]) for row in rows}
    # east is nearer to im0 than to its own im1, the long text to im1 than to its own im0; so are the images
    assert [found["text_to_image_recall@1", low] for low in (1, 2, 5)] == [(0, 1), (1, 1), (0, 1)]
    assert [found["image_to_text_recall@1", low] for low in (1, 2, 5)] == [(0, 1), (1, 1), (0, 1)]
    assert sum(value for value, _ in found.values()) / 6 == pytest.approx(values(scores)["mean_recall"])
    alone = score(length_bins=(9,)).details["by_length"]
    metric = measure("text_to_image_recall@1", scores.samples, 0)
    assert (alone[0]["value"], alone[0]["ci95"]) == (metric.value, metric.ci95)
    assert alone[2]["value"] is None and alone[2]["num_scored"] == 0


def test_images_with_several_captions_have_no_length():
    rows = score(captions=[("east", "to the north"), ("east",), ()], length_bins=(2,)).details["by_length"]
    assert {row["metric"] for row in rows} == {"text_to_image_recall@1"}
    with pytest.raises(ValueError, match="rising order"):
        RetrievalSettings(length_bins=(4, 2))
