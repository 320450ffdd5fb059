"""Against mteb's and clip-benchmark's statements of image-text pairs, in plain torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from protocol_inputs import features, rng, text_encoder, values

from mlcd_eval.data.annotations import Pairs
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.compositionality import Compositionality, CompositionalitySettings

COUNT = 40


def made(images, texts, seed=0, share=False):
    """Items whose own pairs are somewhat alike; share: every second item has the images of the one before it."""
    r = rng(seed)
    keys = [tuple(f"im{images * (n - (share and n % 2)) + i}" for i in range(images)) for n in range(COUNT)]
    items = [Pairs(f"q{n}", keys[n], tuple(f"{n} {t}" for t in range(texts)), "abc"[n % 3]) for n in range(COUNT)]
    array = r.normal(size=(COUNT * images, 8))
    own = {f"{n} {t}": array[images * n + t] if t < images else 0 for n in range(COUNT) for t in range(texts)}
    table = {text: 0.5 * vector + r.normal(size=8) for text, vector in own.items()}
    return features(array), items, table


def score(image, items, table, seed=0, **settings):
    inputs = Inputs({"test": image}, text_encoder(table), annotations={"test": items}, seed=seed)
    return Compositionality().score(CompositionalitySettings(**settings), inputs)


def reference(image, items, table, cut):
    """ImageTextPairClassificationEvaluator and _compute_metrics; cut: only as many choices as there are pairs, as
    clip-benchmark does."""
    row = dict(zip(image.keys, torch.tensor(image.array), strict=True))
    outcomes = []
    for item in items:
        images = torch.nn.functional.normalize(torch.stack([row[key] for key in item.images]), dim=-1)
        texts = torch.tensor(np.array([table[text] for text in item.texts], np.float32))
        scores = images @ torch.nn.functional.normalize(texts, dim=-1).T
        pairs = min(scores.shape)
        texts_chosen, images_chosen = scores.argmax(dim=1), scores.argmax(dim=0)
        truths = [torch.arange(pairs)] * 2 if cut else [torch.arange(size) for size in scores.shape]
        if cut:
            texts_chosen, images_chosen = texts_chosen[:pairs], images_chosen[:pairs]
        text, right = (texts_chosen == truths[0]).all().item(), (images_chosen == truths[1]).all().item()
        outcomes.append((text, right, text and right))
    return dict(zip(("text_accuracy", "image_accuracy", "group_accuracy"), np.mean(outcomes, axis=0), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_winogrounds_shape_is_mtebs(seed):
    made_up = made(2, 2, seed)
    assert values(score(*made_up, ties="first")) == pytest.approx(reference(*made_up, cut=False))


@pytest.mark.parametrize(
    ("images", "texts", "name"), [(1, 2, "text_accuracy"), (1, 5, "text_accuracy"), (10, 1, "image_accuracy")]
)
def test_of_one_image_or_text_the_main_score_is_mtebs(images, texts, name):
    made_up = made(images, texts)
    scores = score(*made_up, ties="first")
    assert scores.primary == name
    assert values(scores) == pytest.approx({name: reference(*made_up, cut=False)[name]})


@pytest.mark.parametrize(("images", "texts"), [(1, 2), (2, 2), (2, 3), (3, 2)])
def test_other_shapes_are_clip_benchmarks(images, texts):
    made_up = made(images, texts)
    own, theirs = values(score(*made_up, ties="first")), reference(*made_up, cut=True)
    assert own == pytest.approx({name: theirs[name] for name in own}) and 0 < own["text_accuracy"] < 1


def test_a_constant_model_is_right_only_where_ties_go_its_way():
    image, items, table = made(1, 2)
    constant = dict.fromkeys(table, np.ones(8))
    assert values(score(image, items, constant)) == {"text_accuracy": 0.0}
    assert values(score(image, items, constant, ties="first")) == {"text_accuracy": 1.0}


def test_equal_texts_tie_whatever_their_place():
    image, items, table = made(1, 5)
    same = [Pairs(item.pairs_id, item.images, (item.texts[0], *item.texts[1:4], item.texts[0])) for item in items]
    assert values(score(image, same, table)) == {"text_accuracy": 0.0}


def test_items_of_several_shapes_are_each_scored_by_their_own():
    image, two, table = made(1, 2)
    _, five, more = made(1, 5, seed=0)
    table = {f"{text} of 2": vector for text, vector in table.items()} | more
    two = [Pairs(f"p{item.pairs_id}", item.images, tuple(f"{text} of 2" for text in item.texts)) for item in two]
    mixed = [item for pair in zip(two, five, strict=True) for item in pair]
    scores = score(image, mixed, table)
    apart = [score(image, part, table).samples["text_accuracy"] for part in (two, five)]
    assert scores.samples["text_accuracy"] == [outcome for pair in zip(*apart, strict=True) for outcome in pair]
    assert scores.details["chance"] == {"text_accuracy": pytest.approx((1 / 2 + 1 / 5) / 2)}


def test_chance_categories_and_intervals():
    scores = score(*made(2, 2, share=True))
    assert scores.details["chance"] == pytest.approx(
        {"text_accuracy": 0.25, "image_accuracy": 0.25, "group_accuracy": 1 / 6}
    )
    group, categories = np.array(scores.samples["group_accuracy"]), np.array(scores.samples["category"])
    for category, of_category in scores.details["by_category"].items():
        assert of_category == {
            "value": pytest.approx(group[categories == category].mean()),
            "num_scored": int((categories == category).sum()),
            "baselines": dict.fromkeys(("length", "ngram", "majority"), pytest.approx(1 / 16)),
        }
    assert scores.primary == "group_accuracy" and len(set(scores.samples["image"])) == COUNT // 2
    for metric in scores.metrics:
        assert metric.ci95[0] < metric.value < metric.ci95[1] and metric.num_scored == COUNT


@pytest.mark.parametrize(
    ("images", "texts", "chance"),
    [
        (1, 2, {"text_accuracy": 1 / 2}),
        (3, 1, {"image_accuracy": 1 / 3}),
        (2, 3, {"text_accuracy": 1 / 9, "image_accuracy": 1 / 4}),
    ],
)
def test_chance_of_other_shapes(images, texts, chance):
    """Each of the images or texts that have a partner chooses among all of the other side."""
    shown = score(*made(images, texts)).details["chance"]
    assert {name: shown[name] for name in chance} == pytest.approx(chance)


def test_items_with_an_image_that_cannot_be_read_are_not_scored():
    image, items, table = made(2, 2)
    few = features(image.array[:-3], bad=("im77", "im78", "im79"))
    (metric, *_) = score(few, items, table).metrics
    assert (metric.num_scored, metric.num_unscored) == (COUNT - 2, 2)
    with pytest.raises(
        DataError, match="no item can be scored: got 0 of 2 whose images can all be read, expected at least 1"
    ):
        score(few, items[-2:], table)


def test_items_that_do_not_compare_are_refused():
    (_, one, _), (_, two, _) = made(1, 2), made(2, 2)
    check = Compositionality().check_annotations
    check(CompositionalitySettings(), "test", two)
    with pytest.raises(IncompatibleError, match=r"got several images in 'q39' and one in 'q0', expected several in"):
        check(CompositionalitySettings(), "test", [one[0], two[-1]])


def test_the_split_that_is_read():
    assert Compositionality().requests(CompositionalitySettings(split="val"), ["val"])["test"].split == "val"
    with pytest.raises(IncompatibleError, match="compositionality reads the split 'test': got val"):
        Compositionality().requests(CompositionalitySettings(), ["val"])


def test_items_of_no_category_are_in_none():
    image, items, table = made(2, 2, share=True)
    some = [replace(item, category="" if number % 3 else "one") for number, item in enumerate(items)]
    by_category = score(image, some, table).details["by_category"]
    assert list(by_category) == ["one"] and by_category["one"]["num_scored"] == len(items[::3])
