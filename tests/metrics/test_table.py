"""The table of metrics: every entry against a computation of its own, on columns as samples files hold them."""

import json
from itertools import product

import numpy as np
import pytest

from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.correspondence import SCALES
from mlcd_eval.metrics.corruption import ALEXNET
from mlcd_eval.metrics.geometry import DEPTH
from mlcd_eval.metrics.interval import generator
from mlcd_eval.metrics.languages import LANGUAGE_FAMILIES
from mlcd_eval.metrics.multilabel import multilabel_samples
from mlcd_eval.metrics.regions import SIZES
from mlcd_eval.metrics.searches import LEVELS, REGION, SEARCH_FAMILIES
from mlcd_eval.metrics.table import FAMILIES, METRICS, measure, metric_kind, metric_value
from mlcd_eval.metrics.tracking import TRACKING

PARAMETERS = {"knn_acc1@": 20, "knn_acc5@": 20, "text_to_image_recall@": 5, "image_to_text_recall@": 5}
PARAMETERS |= {f"{way}_{score}@": 5 for way in ("text_to_image", "image_to_text") for score in ("ndcg", "mrr")}
PARAMETERS |= {"angle_within@": 30, "corrupted_acc1@": "fog", "mean_recall@": 1, "jaccard@": "10-12"}
PARAMETERS |= dict.fromkeys(LANGUAGE_FAMILIES, 5)
PARAMETERS |= {"image_to_text_map@": 5, "image_to_text_found@": 5}
PARAMETERS |= {name: 1 if "recall" in name else 5 for name in SEARCH_FAMILIES}
NAMES = [name + str(PARAMETERS.get(name, 0.5)) if name in FAMILIES else name for name in METRICS.built_in]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("mlcd_eval.metrics.paired.SLOW_DRAWS", 100)


def rng(seed=0):
    return np.random.default_rng(seed)


def retrieval(r):
    """Twelve images with one to four captions each."""
    counts = np.arange(12) % 4 + 1
    images = np.r_[np.repeat(np.arange(12), counts), np.arange(12)]
    text = np.arange(len(images)) < counts.sum()
    recalls = r.integers(4, size=len(images)) / 3
    direction = np.where(text, "text_to_image", "image_to_text")
    return {
        "image": images,
        "direction": direction,
        "rank": r.integers(1, 12, size=len(images)),
        "mean_recall": recalls,
        "language": np.array(["de", "sw", "zh"])[rng(9).integers(3, size=len(images))],
    }


def columns_for(name, seed=0):
    """What a protocol hands over for a metric, through JSON, as a samples file gives it back."""
    r = rng(seed)
    labels = rng(1).integers(2 if name == "roc_auc" else 7, size=60)
    num_classes = 2 if name == "roc_auc" else 7
    scores = r.normal(size=(60, num_classes)) + np.eye(num_classes)[labels]
    if name in ("map", "map_11point"):
        columns = multilabel_samples(scores, (rng(2).random((60, 7)) < 0.3).astype(int))
    elif "_to_" in name or "mean_recall" in name:
        columns = retrieval(r)
        columns["ranks"] = [r.integers(1, 12, size=1 + image % 4) for image in columns["image"]]
    else:
        columns = classification_samples(scores, labels)
        columns |= {"rank@20": columns["rank"], "image": rng(3).integers(25, size=60), "document": labels}
        columns |= {"intersection": r.integers(50, size=60), "union": r.integers(50, 90, size=60)}
        columns |= {"iou": columns["intersection"] / columns["union"]}
        columns |= {"has_target": rng(7).random(60) < 0.6, "predicts_target": r.random(60) < 0.5}
        columns |= {"cluster": np.where(r.random(60) < 0.5, labels, r.integers(7, size=60))}
        columns |= {"edits": r.integers(5, size=60), "answer_length": rng(4).integers(5, 30, size=60)}
        columns |= {f"{side}_accuracy": r.integers(2, size=60) * 1.0 for side in ("text", "image", "group")}
        columns |= {f"confidence{end}": r.random(60) for end in ("", "_scaled")}
        columns |= {f"{key}{end}": r.random(60) for key in ("brier", "log_loss") for end in ("", "_scaled")}
        columns |= {f"correct@{kind}": r.integers(2, size=(60, 5)) * 1.0 for kind in ALEXNET}
        columns |= {"same": r.random((60, 7)).round(), "group": rng(9).integers(3, size=60)}
        columns |= {"level": rng(10).choice([*LEVELS, REGION], size=60), "place": rng([seed, 14]).permutation(60) + 1}
        columns |= {key: r.random(60) for key in ("map", "map_r", "r_precision", "map@5", "mp@5")}
        columns |= {"rank_in": rng([seed, 15]).integers(9, size=(60, 4))}
        columns |= {"board": rng(11).integers(20, size=60), "jaccard": r.random(60)}
        columns |= {"candidates": rng(12).choice(["5-6", "10-12"], size=60)}
        columns |= {"unit": rng(13).integers(25, size=60), "pixels_right": r.integers(50, size=60)}
        columns |= {"pixels_scored": r.integers(50, 90, size=60)}
        for of in ("class", "boundary"):
            columns |= {f"{of}_intersection": r.integers(9, size=(60, 4)), f"{of}_union": r.integers(9, 20, (60, 4))}
        columns |= {key: r.random(60) for key in (*DEPTH, "sum_angle", "median_angle")}
        columns |= {"pixels_within@30": r.integers(50, size=60)}
        columns |= {"size": rng(16).choice(list(SIZES), size=60), "box_iou": r.random(60)}
        columns |= {"points": rng(17).integers(5, 10, size=60)}
        columns |= {f"right_{scale}@0.5": r.integers(6, size=60) for scale in SCALES}
        columns |= {name: r.random(60) for name in TRACKING}
        columns |= {"known": rng(8).integers(2, size=60)}
        columns |= {key: r.random(60) + 0.3 * columns["known"] for key in ("max_logit", "energy", "msp", "mcm")}
        columns |= {key: r.random(60) for key in ("anls", "anls_compat", "relaxed_accuracy", "vqa_accuracy")}
        columns |= {"within@0.5": r.integers(6, size=60)}
    return json.loads(
        json.dumps(
            {
                key: [np.asarray(entry).tolist() for entry in column] if key != "label" else list(map(plain, column))
                for key, column in columns.items()
            }
        )
    )


def plain(label):
    return label if isinstance(label, list) else int(label)


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_has_a_value_an_interval_a_paired_test_and_a_heading(name):
    a, b = columns_for(name), columns_for(name, seed=5)
    metric = measure(name, a, seed=0)
    assert metric.name == name and metric.ci95[0] < metric.value < metric.ci95[1]
    assert metric.value == metric_value(name, a)
    kind = metric_kind(name)
    assert kind.heading != name or name == "precision@0.5"
    (part_a, groups), (part_b, _) = kind.selected(a), kind.selected(b)
    paired = kind.statistic.paired(part_a, part_b, groups, generator(0, name))
    assert (paired.a, paired.b) == pytest.approx((metric.value, metric_value(name, b)))
    assert paired.ci95[0] < paired.b - paired.a < paired.ci95[1] and 0 < paired.p <= 1
    if kind.over is None:
        return
    shuffled = rng(6).permutation(len(groups))
    moved = {key: [column[row] for row in shuffled] for key, column in part_a.items()}
    assert kind.statistic.interval(moved, groups[shuffled], generator(0, name)) == pytest.approx(metric.ci95)


def test_values_by_hand():
    ranks = {"rank": [1, 6, 3, 2], "rank@20": [1, 2, 9, 5], "label": [0, 0, 1, 1]}
    assert metric_value("acc1", ranks) == 1 / 4 and metric_value("acc5", ranks) == 3 / 4
    assert metric_value("mean_top1_top5", ranks) == 1 / 2
    assert metric_value("mean_per_class_recall", ranks) == (1 / 2 + 0) / 2
    assert metric_value("knn_acc1@20", ranks) == 1 / 4 and metric_value("knn_acc5@20", ranks) == 3 / 4
    masks = {"iou": [0.5, 0.25, 0.7, 1.0], "intersection": [1, 1, 7, 4], "union": [2, 4, 10, 4], "image": list("xxyz")}
    assert metric_value("overall_iou", masks) == 13 / 20 and metric_value("mean_iou", masks) == pytest.approx(2.45 / 4)
    assert metric_value("precision@0.5", masks) == 3 / 4 and metric_value("precision@0.7", masks) == 1 / 2
    queries = {"direction": ["text_to_image"] * 3 + ["image_to_text"], "image": [0, 0, 0, 0], "rank": [1, 5, 6, 2]}
    queries["mean_recall"] = [1.0, 0.5, 0.0, 0.75]
    assert metric_value("text_to_image_recall@5", queries) == 2 / 3
    assert metric_value("image_to_text_recall@5", queries) == 1
    assert metric_value("mean_recall", queries) == (0.5 + 0.75) / 2
    assert metric_value("mean_recall@1", queries) == (1 / 3 + 0) / 2
    assert metric_value("mean_recall@5", queries) == (2 / 3 + 1) / 2
    answers = {"document": [1, 1], "edits": [1, 3], "answer_length": [4, 12], "anls": [0.5, 1.0]}
    assert metric_value("character_error_rate", answers) == 1 / 4 and metric_value("anls", answers) == 0.75


def test_undefined_values_are_none_with_no_interval():
    empty = {"document": ["d"], "edits": [0], "answer_length": [0]}
    metric = measure("character_error_rate", empty, seed=0)
    assert (metric.value, metric.ci95, metric.num_scored, metric.higher_is_better) == (None, None, 1, False)
    metric = measure("acc5", {"rank": [1, 2, 3]}, seed=0, num_unscored=4, defined=False)
    assert (metric.value, metric.ci95, metric.num_scored, metric.num_unscored) == (None, None, 3, 4)
    assert measure("acc1", {"rank": []}, seed=0).value is None


def test_an_interval_depends_on_the_seed_and_the_name_and_on_no_other_metric():
    columns = columns_for("acc1")
    alone = measure("mean_per_class_recall", columns, seed=0)
    for name in ("acc1", "acc5", "mean_top1_top5"):
        measure(name, columns, seed=0)
    assert measure("mean_per_class_recall", columns, seed=0) == alone
    other_seed = measure("mean_per_class_recall", columns, seed=1)
    assert other_seed.value == alone.value and other_seed.ci95 != alone.ci95
    columns |= {"anls_compat": columns["anls"]}
    assert measure("anls", columns, seed=0).ci95 != measure("anls_compat", columns, seed=0).ci95  # of equal outcomes


def test_intervals_are_over_the_unit_of_the_entry():
    """Of ten documents with twenty equal answers each, against a bootstrap of ten documents."""
    anls = rng(7).random(10)
    columns = {"document": np.repeat(np.arange(10), 20), "anls": np.repeat(anls, 20)}
    means = anls[rng(8).integers(10, size=(4000, 10))].mean(axis=1)
    assert measure("anls", columns, seed=0).ci95 == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.02)


def test_mean_recall_is_paired_by_image():
    """Every one of the 2^N ways to give an image's queries, both its captions' and its own, to A and B."""
    a, b = retrieval(rng(9)), retrieval(rng(11))
    keep = a["image"] < 9
    a, b = ({key: column[keep] for key, column in columns.items()} for columns in (a, b))
    text = a["direction"] == "text_to_image"

    def mean_recall(recalls):
        return (recalls[text].mean() + recalls[~text].mean()) / 2

    observed = abs(mean_recall(b["mean_recall"]) - mean_recall(a["mean_recall"]))
    large = []
    for swap in product([False, True], repeat=9):
        mask = np.array(swap)[a["image"]]
        first, second = (np.where(mask, x["mean_recall"], y["mean_recall"]) for x, y in ((a, b), (b, a)))
        large.append(abs(mean_recall(first) - mean_recall(second)) >= observed - 1e-12)
    paired = metric_kind("mean_recall").statistic.paired(a, b, a["image"], rng())
    assert 0.05 < np.mean(large) < 0.95
    assert paired.p == pytest.approx(np.mean(large), abs=0.02)


def test_parameters_are_read_from_names():
    assert metric_kind("knn_acc1@20").heading == "acc@1 (kNN, k = 20)"
    assert metric_kind("image_to_text_recall@10").heading == "image-to-text R@10"
    levels = [metric_kind(f"{level}_map").heading for level in ("instance", "easy", "medium", "hard", "region")]
    assert levels == ["mAP", "mAP (easy)", "mAP (medium)", "mAP (hard)", "mAP"]
    assert metric_kind("knn_acc5@10").fits(5) and not metric_kind("knn_acc5@10").fits(4)
    assert metric_kind("roc_auc").fits(2) and not metric_kind("roc_auc").fits(3)


@pytest.mark.parametrize("name", ["exact_match", "exact_match,none", "recall@7", "acc1@5", "knn_acc1"])
def test_a_metric_of_another_harness_is_its_own_heading(name):
    kind = metric_kind(name)
    assert (kind.heading, kind.statistic, kind.unit, kind.higher_is_better) == (name, None, "fraction", True)
