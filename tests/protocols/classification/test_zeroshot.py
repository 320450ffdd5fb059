import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from clip_benchmark.metrics import zeroshot_classification as reference
from protocol_inputs import features, text_encoder, values
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.table import metric_value
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification import zeroshot
from mlcd_eval.protocols.classification.zeroshot import ZeroShot, ZeroShotSettings, class_vectors
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.support.resident import Rows

TEMPLATES = ["a photo of a {c}.", "{c}", "art of the {c}"]
NAMES = ["cat", "dog", "bird", "emu", "ant", "cow", "pig"]


def vector(text: str, dim: int = 12) -> np.ndarray:
    """A text tower: any fixed vector for a text, not normalised."""
    return np.random.default_rng(list(text.encode())).normal(size=dim).astype(np.float32) * (1 + len(text))


encode = text_encoder(vector)


def inputs(array, labels, names=NAMES, templates=TEMPLATES, encode_texts=encode, bad=()):
    return Inputs(
        images={"test": features(array, labels, bad=bad)},
        encode_texts=encode_texts,
        class_names=names,
        templates=templates,
        prompts_source="here",
    )


def random_inputs(num_images=80, num_classes=7, seed=0, **options):
    rng = np.random.default_rng(seed)
    names = NAMES[:num_classes]
    labels = np.r_[np.arange(num_classes), rng.integers(num_classes, size=num_images - num_classes)]
    array = encode(names)[labels] / 5 + 3 * rng.normal(size=(num_images, 12))
    return inputs(array, labels, names, **options)


def score(given, **settings):
    return ZeroShot().score(ZeroShotSettings(**settings), given)


class FakeClip:
    """clip-benchmark's view of the same text tower: `texts` stand for tokens."""

    def encode_text(self, tokens):
        return torch.tensor(encode(tokens.texts))


class Tokens:
    def __init__(self, texts):
        self.texts = texts

    def to(self, device):
        return self


def reference_logits(given, names=NAMES):
    classifier = reference.zero_shot_classifier(FakeClip(), Tokens, names, TEMPLATES, "cpu", amp=False)
    image = torch.nn.functional.normalize(torch.tensor(given.images["test"].array), dim=-1)
    return 100.0 * image @ classifier


def test_class_vectors_worked_by_hand():
    prompts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])  # template 0: class 0, 1; template 1: ...
    half = 0.5**0.5
    assert torch.allclose(class_vectors(prompts, 2), torch.tensor([[half, half], [0.0, 1.0]]))


def test_clip_benchmark_agrees_on_single_labels():
    given = random_inputs()
    labels = given.images["test"].labels
    logits = reference_logits(given)
    acc1, acc5 = reference.accuracy(logits, torch.tensor(labels), topk=(1, 5))
    got = score(given)
    assert 0.1 < acc1 < 0.9
    assert values(got)["acc1"] == pytest.approx(acc1)
    assert values(got)["acc5"] == pytest.approx(acc5)
    assert values(got)["mean_top1_top5"] == pytest.approx((acc1 + acc5) / 2)
    assert values(got)["mean_per_class_recall"] == pytest.approx(balanced_accuracy_score(labels, logits.argmax(1)))
    assert got.primary == "acc1"
    assert all(metric.ci95[0] <= metric.value <= metric.ci95[1] for metric in got.metrics)
    assert all((metric.num_scored, metric.num_unscored) == (80, 0) for metric in got.metrics)


def test_clip_benchmark_agrees_on_several_labels():
    given = random_inputs()
    labels = (np.random.default_rng(1).random((80, 7)) < 0.3).astype(np.int64)
    labels[np.arange(80), given.images["test"].labels] = 1
    given = inputs(given.images["test"].array, labels)
    expected = reference.average_precision_per_class(reference_logits(given), torch.tensor(labels)).mean().item()
    got = score(given)
    assert values(got)["map"] == pytest.approx(expected, abs=1e-6)
    assert got.primary == "map_11point"
    assert score(given, metric="map").primary == "map"
    best = reference_logits(given).argmax(1).numpy()
    assert got.samples["prediction"] == best.tolist()
    assert got.samples["correct"] == [float(row[index]) for row, index in zip(labels, best, strict=True)]
    assert got.samples["label"][0] == np.flatnonzero(labels[0]).tolist()


def test_two_classes_have_an_area_under_the_curve():
    given = random_inputs(num_classes=2)
    logits = reference_logits(given, NAMES[:2]).double()
    log_odds = logits[:, 1] - logits[:, 0]  # in the order of the softmax, which saturates and ties
    got = score(given, metric="roc_auc")
    assert values(got)["roc_auc"] == pytest.approx(roc_auc_score(given.images["test"].labels, log_odds))
    assert got.primary == "roc_auc"
    assert values(got).get("acc5") is None


def test_lengths_of_images_do_not_matter():
    given = random_inputs()
    images = given.images["test"]
    scaled = images.array * 10 ** np.random.default_rng(2).uniform(-22, 20, size=(80, 1))
    assert values(score(inputs(scaled, images.labels))) == pytest.approx(values(score(given)))


def test_order_of_classes_does_not_matter():
    given = random_inputs()
    order = np.random.default_rng(3).permutation(7)
    images = given.images["test"]
    moved = inputs(images.array, order.argsort()[images.labels], [NAMES[i] for i in order])
    assert values(score(moved)) == pytest.approx(values(score(given)))


def test_logits_in_chunks_change_nothing(monkeypatch):
    whole = score(random_inputs())
    monkeypatch.setattr("mlcd_eval.protocols.classification.zeroshot._ROWS", 7)
    assert values(score(random_inputs())) == values(whole)


def test_chunks_of_logits_take_the_place_of_the_last_and_are_what_one_product_gives(monkeypatch):
    """Of 20,000 classes, a chunk of logits beside the next would take half a gigabyte more."""
    generator = torch.Generator().manual_seed(0)
    array, classes = torch.randn(20, 12, generator=generator), torch.randn(3, 12, generator=generator)
    monkeypatch.setattr(zeroshot, "_ROWS", 8)
    places, multiply = [], torch.matmul
    monkeypatch.setattr(torch, "matmul", lambda *a, out: places.append(out.data_ptr()) or multiply(*a, out=out))
    logits = list(zeroshot._logits(Rows(array, "cpu"), classes, [0, 1, 2, 1]))
    assert len(places) == 3 and len(set(places)) == 1
    assert [len(chunk) for chunk in logits] == [8, 8, 4]
    expected = [100.0 * part @ classes.T for part in array.split(8)]
    assert torch.equal(torch.cat(logits), torch.cat(expected)[:, [0, 1, 2, 1]])


@pytest.mark.parametrize("num_images", [1, 2, 3, 9])
def test_classes_of_equal_prompts_tie_exactly(num_images):
    """The lower class comes first, whatever a product's shape does to rounding: none of the last class is right."""
    array = np.random.default_rng(4).normal(size=(num_images, 768))
    for count in range(6, 40):
        names, labels = ["cat"] * (count - 1) + ["dog", "cat"], np.full(num_images, count)
        given = inputs(array, labels, names, encode_texts=text_encoder(partial(vector, dim=768)))
        with pytest.warns(UserWarning, match="more than once"):
            scores = score(given)
        assert values(scores)["acc5"] == 0 and set(scores.samples["prediction"]) <= {0, count - 1}


def test_each_text_is_encoded_once_in_one_call():
    calls = []

    def counting(texts):
        calls.append(list(texts))
        return encode(texts)

    score(random_inputs(templates=["{c}", "{c}", "the {c}"], encode_texts=counting))
    assert len(calls) == 1 and sorted(calls[0]) == sorted([*NAMES, *(f"the {name}" for name in NAMES)])


def test_samples_and_details():
    scores = score(random_inputs())
    assert scores.samples["key"] == [f"im{row}" for row in range(80)]
    correct = np.array(scores.samples["label"]) == np.array(scores.samples["prediction"])
    assert scores.samples["correct"] == correct.astype(float).tolist()
    assert correct.mean() == pytest.approx(values(scores)["acc1"])
    assert scores.details["prompts"] == "here"
    assert (scores.details["num_classes"], scores.details["num_templates"]) == (7, 3)


def test_bad_images_are_counted():
    given = random_inputs()
    images = given.images["test"]
    scores = score(inputs(images.array, images.labels, bad=["broken"]))
    assert {(metric.num_scored, metric.num_unscored) for metric in scores.metrics} == {(80, 1)}


def test_repeated_class_names_are_pointed_out():
    given = random_inputs()
    images = given.images["test"]
    names = ["cat", "dog", "cat", "emu", "ant", "cow", "dog"]
    with pytest.warns(UserWarning, match="more than once.*'cat': .0, 2., 'dog': .1, 6."):
        scores = score(inputs(images.array, images.labels, names))
    assert scores.details["repeated_class_names"] == {"cat": [0, 2], "dog": [1, 6]}


def test_what_cannot_be_scored_is_one_sentence():
    given = random_inputs()
    images = given.images["test"]
    with pytest.raises(DataError, match="got 6 names, expected at least 7"):
        score(inputs(images.array, images.labels, NAMES[:6]))
    with pytest.raises(DataError, match="got 7 names, expected 9"):
        score(inputs(images.array, np.ones((80, 9), dtype=int)))
    with pytest.raises(IncompatibleError, match=r"expected classnames.txt and zeroshot_classification_templates.txt"):
        score(inputs(images.array, images.labels, templates=None))
    with pytest.raises(IncompatibleError, match="no text tower"):
        score(inputs(images.array, images.labels, encode_texts=None))
    with pytest.raises(IncompatibleError, match="'roc_auc' is undefined here: got 7 classes and one label per image"):
        score(given, metric="roc_auc")
    with pytest.raises(IncompatibleError, match="'acc1' is undefined here: got 7 classes and several labels per image"):
        score(inputs(images.array, np.eye(7, dtype=int)[images.labels]), metric="acc1")
    with pytest.raises(DataError, match=r"features of texts are not finite: .*first that of 'a photo of a cat.'"):
        score(inputs(images.array, images.labels, encode_texts=lambda texts: encode(texts) * np.nan))
    with pytest.raises(DataError, match="split 'test' has no readable image"):
        score(inputs(images.array[:0], images.labels[:0]))
    with pytest.raises(IncompatibleError, match="reads the split 'test': got train"):
        ZeroShot().requests(ZeroShotSettings(), ["train"])


def test_datacomps_metrics_are_reported_where_a_task_ranks_by_them():
    given = random_inputs()
    keys = given.images["test"].keys
    grouped = dataclasses.replace(given, groups={key: "uvw"[n % 3] for n, key in enumerate(keys)})
    plain = values(score(grouped))
    assert "worst_group_acc1" in plain and not {"worst_group_acc5", "macro_f1_true"} & set(plain)
    for metric in ("worst_group_acc1", "worst_group_acc5", "macro_f1_true"):
        scores = score(grouped, metric=metric)
        assert scores.primary == metric and values(scores) == {**plain, metric: values(scores)[metric]}
        columns = {"group": [grouped.groups[key] for key in keys], **scores.samples}
        assert values(scores)[metric] == metric_value(metric, columns)
    with pytest.raises(IncompatibleError, match="'worst_group_acc5' compares groups: got a data set without any"):
        score(given, metric="worst_group_acc5")
    with pytest.raises(IncompatibleError, match="metric 'worst_group_acc5' is undefined here: got 4 classes"):
        score(random_inputs(num_classes=4), metric="worst_group_acc5")
    assert ZeroShot().needs(ZeroShotSettings(metric="worst_group_acc1")).groups
    assert not ZeroShot().needs(ZeroShotSettings()).groups
    assert ZeroShot().primary({}, "classification") == "acc1" and ZeroShot().primary({}, "multilabel") is None


def test_request_and_registry():
    protocol = get_protocol("zeroshot")
    assert isinstance(protocol, ZeroShot) and protocol.needs(protocol.Settings()).texts
    assert protocol.kinds == ("classification", "multilabel")
    request = protocol.requests(ZeroShotSettings(split="val"), ["val", "test"])["test"]
    assert (request.split, request.layer) == ("val", "projected")
