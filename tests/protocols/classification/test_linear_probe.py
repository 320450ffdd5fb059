import json
from dataclasses import replace

import numpy as np
import pytest
from probe_scores import score
from protocol_inputs import features, mixture, rng, values
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from mlcd_eval.data.split import stratified_split
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.classification import probe_training
from mlcd_eval.protocols.classification.linear_probe import LinearProbe, LinearProbeSettings
from mlcd_eval.protocols.classification.sweep import LAMBDAS, search_lambda


def draw_multilabel(seed=0, sizes=(160, 80), d=8, c=3):
    r = rng(seed)
    directions = r.normal(size=(d, c))
    for n in sizes:
        x = r.normal(size=(n, d))
        yield features(x, (x @ directions + r.normal(size=(n, c)) > 1).astype(np.int64))


def sklearn_probe(x, y, lambda_):
    return LogisticRegression(C=1 / lambda_, tol=1e-8, max_iter=20_000).fit(x.astype(np.float64), y)


@pytest.fixture
def exact(monkeypatch):
    """No score of the search differs from the converged one, even by one sample."""
    monkeypatch.setattr(probe_training, "SEARCH_TOLERANCE", 1e-7)
    monkeypatch.setattr(probe_training, "OUT_OF_REACH", np.inf)


def test_the_whole_protocol_against_scikit_learn(exact):
    train, test = mixture()
    fit_rows, val_rows = stratified_split(train.labels, 0.2, rng(3))
    best, tried = search_lambda(
        lambda lambda_: sklearn_probe(train.array[fit_rows], train.labels[fit_rows], lambda_).score(
            train.array[val_rows], train.labels[val_rows]
        )
    )
    scores = score(train, test, seed=3)
    assert scores.details["lambda"] == best
    assert {step["lambda"]: step["score"] for step in scores.details["search"]} == pytest.approx(tried)
    final = sklearn_probe(train.array, train.labels, best)
    assert scores.samples["prediction"] == final.predict(test.array).tolist()
    assert values(scores)["acc1"] == pytest.approx(final.score(test.array, test.labels))


def test_a_val_split_is_searched_and_then_trained_on(exact):
    train, val, test = mixture(1, sizes=(120, 60, 80))
    scores = score(train, test, val)
    best, _ = search_lambda(
        lambda lambda_: sklearn_probe(train.array, train.labels, lambda_).score(val.array, val.labels)
    )
    assert scores.details["lambda"] == best and scores.details["num_train"] == 180
    final = sklearn_probe(np.r_[train.array, val.array], np.r_[train.labels, val.labels], best)
    assert scores.samples["prediction"] == final.predict(test.array).tolist()


def test_vtab_1k_fits_on_800_images_and_chooses_by_200(exact):
    train, val, test = mixture(1, sizes=(1100, 250, 80))
    part = replace(train, array=train.array[:800], labels=train.labels[:800], keys=train.keys[:800])
    following = replace(train, array=train.array[800:1000], labels=train.labels[800:1000], keys=train.keys[800:1000])
    first = replace(val, array=val.array[:200], labels=val.labels[:200], keys=val.keys[:200])
    for given, meant in ((None, following), (val, first)):
        scores = score(train, test, given, selection="cross_validation", examples="vtab1k")
        expected = score(part, test, meant)
        assert scores.details["num_train"] == 1000 and scores.details["lambda"] == expected.details["lambda"]
        assert scores.samples["prediction"] == expected.samples["prediction"]
    with pytest.raises(DataError, match="got 800 of train, expected at least 801"):
        score(part, test, examples="vtab1k")
    with pytest.raises(ValueError, match="expected examples vtab1k without shots"):
        LinearProbeSettings(examples="vtab1k", shots=2)
    assert not LinearProbe().seed_matters({"examples": "vtab1k"})


def test_splits_that_are_read():
    probe, layer = LinearProbe(), LinearProbeSettings().layer
    assert set(probe.requests(LinearProbeSettings(), ["train", "test"])) == {"train", "test"}
    requests = probe.requests(LinearProbeSettings(), ["train", "val", "test"])
    assert set(requests) == {"train", "val", "test"} and {r.layer for r in requests.values()} == {layer}
    assert set(probe.requests(LinearProbeSettings(shots=4), ["train", "val", "test"])) == {"train", "test"}
    with pytest.raises(IncompatibleError, match="got the splits val, test, expected train too"):
        probe.requests(LinearProbeSettings(), ["val", "test"])


def test_test_labels_are_not_seen():
    train, test = mixture(2)
    other = features(test.array, rng().permutation(test.labels))
    first, second = score(train, test), score(train, other)
    assert first.details == second.details
    assert first.samples["prediction"] == second.samples["prediction"]
    assert values(first)["acc1"] != values(second)["acc1"]


def test_seeded():
    train, test = mixture(3)
    assert score(train, test, seed=1) == score(train, test, seed=1)
    assert score(train, test, seed=1).details["search"] != score(train, test, seed=2).details["search"]


def test_all_metrics_with_intervals():
    train, test = mixture(4)
    scores = score(train, features(test.array, test.labels, bad=["broken"]))
    assert [m.name for m in scores.metrics] == ["acc1", "acc5", "mean_per_class_recall", "mean_top1_top5"]
    assert scores.primary == "acc1"
    for metric in scores.metrics:
        assert metric.ci95[0] <= metric.value <= metric.ci95[1]
        assert (metric.num_scored, metric.num_unscored) == (80, 1)
    assert np.mean(scores.samples["correct"]) == pytest.approx(values(scores)["acc1"])
    assert scores.samples["key"][:2] == ["im0", "im1"]
    assert json.loads(json.dumps(scores.details)) == scores.details


@pytest.mark.parametrize("seed", range(3))
def test_a_candidate_out_of_reach_is_not_fitted_to_the_end(monkeypatch, seed):
    train, test = mixture(seed, sizes=(400, 80), d=100, c=8)
    noisy = np.where(rng(seed).random(400) < 0.4, rng(seed).permutation(train.labels), train.labels)
    train = features(train.array, noisy)  # a small lambda fits the noise
    quick = score(train, test).details
    monkeypatch.setattr(probe_training, "OUT_OF_REACH", np.inf)
    whole = score(train, test).details
    assert quick["lambda"] == whole["lambda"] and quick["objective"] == pytest.approx(whole["objective"], rel=1e-5)
    left = {step["lambda"]: step for step in quick["search"] if step["out_of_reach"]}
    assert left and not any(step["converged"] for step in left.values())
    assert not any(step["out_of_reach"] for step in whole["search"]) and all(
        step["converged"] for step in whole["search"]
    )
    passes = [{step["lambda"]: step["iterations"] for step in details["search"]} for details in (quick, whole)]
    assert all(passes[0][lambda_] <= passes[1][lambda_] for lambda_ in left)


def test_two_classes_have_roc_auc():
    train, test = mixture(5, c=2)
    scores = score(train, test, metric="roc_auc", lambda_=1.0)
    theirs = sklearn_probe(train.array, train.labels, 0.5)  # two rows of weights: half the penalty of one
    assert scores.primary == "roc_auc"
    assert values(scores)["roc_auc"] == pytest.approx(
        roc_auc_score(test.labels, theirs.decision_function(test.array)), abs=1e-3
    )
    assert values(scores)["acc5"] is None


def test_three_classes_have_no_roc_auc():
    train, test = mixture(5, c=3)
    scores = score(train, test, lambda_=1.0)
    assert "roc_auc" not in values(scores) and "contrast" not in scores.samples
    with pytest.raises(IncompatibleError, match="'roc_auc' is undefined here: got 3 classes and one label per image"):
        score(train, test, metric="roc_auc", lambda_=1.0)


def test_multilabel():
    train, test = draw_multilabel()
    scores = score(train, test, lambda_=1.0)
    assert scores.primary == "map_11point" and set(values(scores)) == {"map", "map_11point"}
    logits = np.stack(
        [sklearn_probe(train.array, train.labels[:, c], 1.0).decision_function(test.array) for c in range(3)], axis=1
    )
    assert values(scores)["map"] == pytest.approx(average_precision_score(test.labels, logits), abs=1e-3)
    assert scores.samples["prediction"] == [np.flatnonzero(row > 0).tolist() for row in logits]
    exactly = [float(all((row > 0) == true)) for row, true in zip(logits, test.labels, strict=True)]
    assert scores.samples["correct"] == exactly and 0 < sum(exactly) < len(exactly)
    searched = score(train, test, metric="map")
    assert searched.details["lambda"] in LAMBDAS and len(searched.details["search"]) <= 15


def test_fixed_lambda_is_not_searched():
    train, test = mixture(6)
    scores = score(train, test, lambda_=0.3)
    assert scores.details["lambda"] == 0.3 and "search" not in scores.details
    assert scores.details["converged"] and scores.details["gap"] < 1e-6


def test_an_unfinished_fit_is_said():
    train, test = mixture(6)
    assert not score(train, test, lambda_=1e-4, max_iter=3).details["converged"]


def test_a_class_that_train_lacks_is_scored_and_wrong():
    train, test = mixture(10)
    part = train.labels != 4
    scores = score(features(train.array[part], train.labels[part]), test, lambda_=1.0)
    correct, labels = np.array(scores.samples["correct"]), test.labels
    assert not correct[labels == 4].any() and correct[labels != 4].any()
    assert scores.metrics[0].num_scored == len(labels)


@pytest.mark.parametrize("settings", [{"lambda_": 1.0}, {"metric": "mean_top1_top5"}])
def test_a_class_that_train_lacks_is_not_among_the_five_of_fewer(settings):
    """Four classes in train leave a fifth place, which nobody earned."""
    train, test = mixture(10)
    part = train.labels != 4
    scores = score(features(train.array[part], train.labels[part]), test, **settings)
    assert values(scores)["acc5"] == pytest.approx((test.labels != 4).mean())


def test_more_samples_of_the_same_kind_do_not_hurt():
    train, test = mixture(11, sizes=(400, 400))
    small = features(train.array[:40], train.labels[:40])
    assert values(score(train, test))["acc1"] > values(score(small, test))["acc1"]


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (
            mixture,
            {"metric": "map"},
            "metric 'map' is undefined here: got 5 classes and one label per image, expected one of acc1",
        ),
        (draw_multilabel, {"metric": "acc1"}, "several labels per image, expected one of map, map_11point"),
        (draw_multilabel, {"shots": 2}, "shots are counted by class: got a dataset with several labels per image"),
        (mixture, {"metric": "roc_auc"}, "metric 'roc_auc' is undefined here: got 5 classes and one label per image"),
        (
            lambda: mixture(c=3),
            {"metric": "mean_top1_top5"},
            "got 3 classes and one label per image, expected one of acc1, mean_per_class_recall",
        ),
        (lambda: mixture(c=1), {}, "needs two classes to tell apart: got 160 train samples, all of class 0"),
    ],
)
def test_requests_that_do_not_fit_the_data(data, settings, message):
    train, test = data()
    with pytest.raises(IncompatibleError, match=message):
        score(train, test, **settings)


def test_labels_without_contrast():
    train, test = draw_multilabel()
    with pytest.raises(IncompatibleError, match="a label that some images have and some lack"):
        score(features(train.array, np.ones_like(train.labels)), test)
    train, test = mixture(c=2)
    val = features(train.array[:5], np.zeros(5, dtype=np.int64))
    with pytest.raises(IncompatibleError, match="lambda cannot be chosen by roc_auc: got 5 validation samples"):
        score(train, test, val, metric="roc_auc")


def test_features_that_are_not_finite():
    train, test = mixture()
    broken = test.array.copy()
    broken[[7, 30], 0] = np.inf
    with pytest.raises(DataError, match=r"split 'test' are not finite: .* in 2 of 80 rows, first that of 'im7'"):
        score(train, features(broken, test.labels))


@pytest.mark.parametrize(
    "settings", [{"metric": "top1"}, {"val_fraction": 1}, {"lambda_": 0}, {"shots": 0}, {"max_iters": 5}]
)
def test_settings_are_checked(settings):
    with pytest.raises(ValidationError):
        LinearProbeSettings(**settings)
