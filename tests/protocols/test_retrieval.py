import numpy as np
import pytest
import torch
from clip_benchmark.metrics.zeroshot_retrieval import recall_at_k
from protocol_inputs import features, text_encoder, values

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.protocols.retrieval.protocol import Retrieval
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings

VECTORS = {"east": [2.0, 0.0], "north": [0.0, 3.0], "north-east": [0.6, 0.8], "south": [0.0, -1.0]}


encode = text_encoder(VECTORS)


def inputs(array, texts, encode_texts=encode, bad=()):
    return Inputs(images={"test": features(array, texts=texts, bad=bad)}, encode_texts=encode_texts)


# Not normalised: lengths must not matter. Similarities as in the metric's test, worked by hand.
IMAGES = [[10.0, 0.0], [0.4, 0.3], [0.0, 1.0]]
CAPTIONS = [("north-east",), ("east", "south"), ("north",)]


def test_worked_by_hand():
    scores = Retrieval().score(RetrievalSettings(ks=(1, 2)), inputs(IMAGES, CAPTIONS))
    assert scores.samples["rank"] == [3, 2, 2, 1, 2, 2, 1]  # texts, then images
    assert scores.samples["key"] == ["im0#0", "im1#0", "im1#1", "im2#0", "im0", "im1", "im2"]
    assert scores.samples["image"] == [0, 1, 1, 2, 0, 1, 2]
    assert scores.samples["mean_recall"] == [0, 1 / 2, 1 / 2, 1, 1 / 2, 1 / 2, 1]
    assert scores.samples["direction"] == ["text_to_image"] * 4 + ["image_to_text"] * 3
    assert values(scores) == pytest.approx(
        {
            "text_to_image_recall@1": 1 / 4,
            "text_to_image_recall@2": 3 / 4,
            "image_to_text_recall@1": 1 / 3,
            "image_to_text_recall@2": 1.0,
            "mean_recall": (1 / 4 + 3 / 4 + 1 / 3 + 1) / 4,
        }
    )
    assert scores.primary == "image_to_text_recall@1"
    assert {"num_images": 3, "num_texts": 4, "captions_per_image": None}.items() <= scores.details.items()
    assert [metric.num_scored for metric in scores.metrics] == [4, 4, 3, 3, 3]
    assert all(metric.ci95[0] <= metric.value <= metric.ci95[1] for metric in scores.metrics)


def test_captions_per_image_keeps_the_first():
    scores = Retrieval().score(RetrievalSettings(captions_per_image=1), inputs(IMAGES, CAPTIONS))
    assert {"num_images": 3, "num_texts": 3, "captions_per_image": 1}.items() <= scores.details.items()
    assert scores.samples["key"][:3] == ["im0#0", "im1#0", "im2#0"]


def test_images_without_captions_are_unscored_but_in_the_gallery():
    given = inputs([[0.6, 0.8], *IMAGES], [(), *CAPTIONS[:2], ("north", "  ")], bad=["broken"])
    scores = Retrieval().score(RetrievalSettings(ks=(1,)), given)
    t2i, i2t, _ = scores.metrics
    # the new image is `north-east` itself, and further from `east`, `south` (to im1) and `north` (to im2) than theirs
    assert scores.samples["rank"][:4] == [4, 2, 2, 1]
    assert (t2i.num_scored, t2i.num_unscored) == (4, 0)
    assert (i2t.num_scored, i2t.num_unscored) == (3, 2)


def random_inputs(num_images=60, dim=24, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, size=num_images)
    texts = [tuple(f"{row}/{n}" for n in range(count)) for row, count in enumerate(counts)]
    image = rng.normal(size=(num_images, dim))
    text_rows = np.concatenate([np.repeat(image[row][None], n, 0) for row, n in enumerate(counts)])
    text_rows = text_rows + 1.5 * rng.normal(size=text_rows.shape)
    table = dict(zip([t for group in texts for t in group], text_rows.astype(np.float32), strict=True))
    return inputs(image, texts, text_encoder(table)), text_rows, counts


def test_clip_benchmark_agrees():
    given, text_rows, counts = random_inputs()
    got = values(Retrieval().score(RetrievalSettings(), given))
    image = torch.nn.functional.normalize(torch.tensor(given.images["test"].array), dim=-1)
    text = torch.nn.functional.normalize(torch.tensor(text_rows, dtype=torch.float32), dim=-1)
    scores = text @ image.T
    own = torch.zeros_like(scores, dtype=torch.bool)
    own[torch.arange(len(scores)), torch.tensor(np.repeat(np.arange(60), counts))] = True
    for k in (1, 5, 10):
        t2i = (recall_at_k(scores, own, k) > 0).float().mean().item()
        i2t = (recall_at_k(scores.T, own.T, k) > 0).float().mean().item()
        assert got[f"text_to_image_recall@{k}"] == pytest.approx(t2i, abs=1e-6)
        assert got[f"image_to_text_recall@{k}"] == pytest.approx(i2t, abs=1e-6)


def test_interval_of_mean_recall_is_that_of_resampled_images():
    given, _, counts = random_inputs(num_images=200)
    scores = Retrieval().score(RetrievalSettings(ks=(1,)), given)
    ranks = np.array(scores.samples["rank"])
    hit = (ranks == 1).astype(float)
    of_text, of_image = np.split(hit, [counts.sum()])
    per_image = np.add.reduceat(of_text, np.r_[0, counts.cumsum()[:-1]])
    rng = np.random.default_rng(1)
    draws = rng.integers(200, size=(4000, 200))
    means = (per_image[draws].sum(1) / counts[draws].sum(1) + of_image[draws].mean(1)) / 2
    low, high = np.percentile(means, [2.5, 97.5])
    got = scores.metrics[-1]
    assert got.value == pytest.approx((of_text.mean() + of_image.mean()) / 2)
    assert got.ci95 == pytest.approx((low, high), abs=0.15 * (high - low))


def test_same_seed_same_scores_and_each_text_encoded_once():
    asked = []

    def counting(texts):
        asked.extend(texts)
        return encode(texts)

    given = inputs(IMAGES, [("north",), ("north", "east"), ("east",)], counting)
    first = Retrieval().score(RetrievalSettings(), given)
    assert asked == ["north", "east"]
    assert first == Retrieval().score(RetrievalSettings(), given)


def test_a_constant_encoder_scores_by_index():
    scores = Retrieval().score(RetrievalSettings(ks=(1,)), inputs([[1, 1]] * 3, [("east",), ("south",), ("east",)]))
    assert values(scores)["text_to_image_recall@1"] == pytest.approx(1 / 3)


def test_what_cannot_be_scored_is_one_sentence():
    protocol, settings = Retrieval(), RetrievalSettings()
    with pytest.raises(IncompatibleError, match="reads the split 'test': got train, val"):
        protocol.requests(settings, ["train", "val"])
    with pytest.raises(DataError, match="got 0 captions, expected at least 1"):
        protocol.score(settings, inputs(IMAGES, [(), (), ()]))
    with pytest.raises(IncompatibleError, match="no text tower"):
        protocol.score(settings, inputs(IMAGES, CAPTIONS, None))
    with pytest.raises(IncompatibleError, match="not in one space: got 3 and 2 dimensions"):
        protocol.score(settings, inputs(np.eye(3), CAPTIONS))
    with pytest.raises(DataError, match=r"features of images are not finite: .* 1 of 3 rows, first that of 'im1'"):
        protocol.score(settings, inputs([[1, 0], [np.nan, 0], [0, 1]], CAPTIONS))


def test_request_and_registry():
    protocol = get_protocol("retrieval")
    assert (
        isinstance(protocol, Retrieval)
        and protocol.needs(protocol.Settings()).texts
        and protocol.kinds == ("retrieval",)
    )
    request = protocol.requests(RetrievalSettings(split="val"), ["val"])["test"]
    assert (request.split, request.layer) == ("val", "projected")


def test_the_price_of_ties_is_in_the_record():
    """Two equal images: the second one's caption finds the first before it, by index alone."""
    pictures = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    captions = [("first",), ("second",), ("third",)]
    vectors = {"first": [1.0, 0.0], "second": [1.0, 0.0], "third": [0.0, 1.0]}
    scores = Retrieval().score(RetrievalSettings(ks=(1,)), inputs(pictures, captions, text_encoder(vectors)))
    assert values(scores)["text_to_image_recall@1"] == pytest.approx(2 / 3)
    assert scores.details["if_ties_went_the_querys_way"] == {
        "text_to_image_recall@1": 1.0,
        "image_to_text_recall@1": 1.0,
    }


def test_the_last_of_equal_items_may_be_ahead():
    """Many ties, against a full sort by (similarity, row), both falling, as mteb sorts ids that follow the rows."""
    rng = np.random.default_rng(3)
    directions = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
    pictures = directions[rng.integers(4, size=9)]
    captions = [tuple(f"{row}.{number}" for number in range(1 + row % 3)) for row in range(9)]
    captions[4] = ()
    vectors = {text: directions[rng.integers(4)].tolist() for texts in captions for text in texts}
    given = inputs(pictures, captions, text_encoder(vectors))
    scores = Retrieval().score(RetrievalSettings(metric="ndcg", ties="last"), given)

    texts = [(row, text) for row, of_image in enumerate(captions) for text in of_image]
    similar = np.round(pictures @ np.array([vectors[text] for _, text in texts]).T, 6)
    expected = []
    for column, (row, _) in enumerate(texts):
        order = sorted(range(9), key=lambda other: (similar[other, column], other), reverse=True)
        expected.append([1 + order.index(row)])
    for row in (row for row in range(9) if row != 4):
        order = sorted(range(len(texts)), key=lambda other: (similar[row, other], other), reverse=True)
        expected.append([1 + place for place, other in enumerate(order) if texts[other][0] == row])
    assert scores.samples["ranks"] == expected
    assert scores.samples["rank"] == [min(ranks) for ranks in expected]
    found = [sum(rank <= 5 for rank in ranks) / len(ranks) for ranks in expected[len(texts) :]]
    assert values(scores)["image_to_text_found@5"] == pytest.approx(np.mean(found))
    assert values(scores)["text_to_image_mrr@10"] == pytest.approx(
        np.mean([1 / rank for [rank] in expected[: len(texts)]])
    )
    assert scores.primary == "image_to_text_ndcg@10" and scores.metrics[-1].num_unscored == 1


def test_scores_of_whole_rankings_come_with_their_metric_alone():
    plain, ranked = (
        Retrieval().score(RetrievalSettings(metric=name), inputs(IMAGES, CAPTIONS)) for name in ("recall", "ndcg")
    )
    assert "ranks" not in plain.samples and not any("ndcg" in name for name in values(plain))
    assert values(plain).items() <= values(ranked).items()
    mean = Retrieval().score(RetrievalSettings(metric="mean_recall"), inputs(IMAGES, CAPTIONS))
    assert mean.primary == "mean_recall" and values(mean) == values(plain)


def test_datacomps_metric_is_the_mean_of_both_directions_at_one():
    scores = Retrieval().score(RetrievalSettings(metric="mean_recall@1"), inputs(IMAGES, CAPTIONS))
    found = values(scores)
    assert scores.primary == "mean_recall@1" == Retrieval().primary({"metric": "mean_recall@1"}, "retrieval")
    both = found["text_to_image_recall@1"], found["image_to_text_recall@1"]
    assert found["mean_recall@1"] == sum(both) / 2 != found["mean_recall"]
