"""What zero-shot and the probes report beside accuracy: calibration and the open set."""

import dataclasses

import numpy as np
import pytest
import torch
from protocol_inputs import features, mixture, text_encoder, values
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mlcd_eval.data.alterations.names import CORRUPTIONS, corruptions_of, small_changes
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.corruption import ALEXNET
from mlcd_eval.metrics.reliability import CALIBRATION, OPEN_SET, SCALED
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification import attentive_head, reliability
from mlcd_eval.protocols.registry import get_protocol

CLASSES, WIDTH = 5, 8


def rng(seed=0):
    return np.random.default_rng(seed)


def prototypes():
    return rng(7).normal(size=(CLASSES, WIDTH)).astype(np.float32)


def zero_shot_images(seed, n=120, noise=1.2):
    labels = rng(seed).integers(CLASSES, size=n)
    return features(prototypes()[labels] + noise * rng(seed + 1).normal(size=(n, WIDTH)), labels)


def zero_shot(images, **settings):
    names = [f"{number} a" for number in range(CLASSES)]
    table = dict(zip(names, prototypes(), strict=True))
    protocol = get_protocol("zeroshot")
    inputs = Inputs(images, text_encoder(table), names, ["{c}"], "made up")
    return protocol.score(protocol.Settings.model_validate(settings), inputs)


def cosines(images):
    rows, classes = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images.array, prototypes()))
    return rows.astype(np.float64) @ classes.astype(np.float64).T


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def loss_of(logits, labels):
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()


def best_temperature(logits, labels):
    best = minimize_scalar(
        lambda log: loss_of(logits / np.exp(log), labels),
        bounds=(-6, 6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return np.exp(best.x)


def probed(inputs, name="linear_probe", **settings):
    protocol = get_protocol(name)
    return protocol.score(protocol.Settings.model_validate(settings), inputs)


def test_the_defaults_report_what_they_did():
    train, test = mixture()
    plain, more = (probed(Inputs({"train": train, "test": test}), **s) for s in ({}, {"calibration": "fitted"}))
    known = {name: column for name, column in more.samples.items() if name in plain.samples}
    assert known == plain.samples and more.metrics[: len(plain.metrics)] == plain.metrics
    assert not {metric.name for metric in plain.metrics} & {*CALIBRATION, *OPEN_SET}
    assert [metric.name for metric in more.metrics[len(plain.metrics) :]] == list(CALIBRATION)
    assert {**more.details, **plain.details} == more.details


def test_zero_shot_divides_its_logits_by_the_best_temperature_on_train():
    train, test = zero_shot_images(1, 200), zero_shot_images(11)
    scores = zero_shot({"test": test, "train": train}, calibration="fitted")
    temperature = best_temperature(100 * cosines(train), train.labels)
    assert scores.details["temperature"] == pytest.approx(temperature, rel=1e-4) and temperature > 5
    assert scores.details["temperature_from"] == "200 samples of train"
    found = values(scores)
    raw, fitted = (loss_of(100 * cosines(test) / t, test.labels) for t in (1, temperature))
    assert found["nll"] == pytest.approx(raw, rel=1e-4) and found["nll_scaled"] == pytest.approx(fitted, rel=1e-4)
    assert found["ece_scaled"] < found["ece"] and found["acc1"] == np.mean(cosines(test).argmax(1) == test.labels)
    assert scores.details["reliability"].keys() == {"raw", "fitted"}
    assert scores.samples.keys() >= {"confidence", f"confidence{SCALED}", f"brier{SCALED}"}


def test_zero_shot_reads_val_before_train_and_nothing_where_there_is_neither():
    protocol = get_protocol("zeroshot")
    settings = protocol.Settings(calibration="fitted")
    asked = [
        set(protocol.requests(settings, splits)) for splits in (("train", "val", "test"), ("train", "test"), ("test",))
    ]
    assert asked == [{"val", "test"}, {"train", "test"}, {"test"}]
    assert set(protocol.requests(protocol.Settings(calibration="raw"), ("train", "test"))) == {"test"}
    assert set(protocol.requests(protocol.Settings(split="train", calibration="fitted"), ("train", "test"))) == {"test"}
    scores = zero_shot({"test": zero_shot_images(11)}, calibration="fitted")
    assert scores.details["temperature"] is None and scores.details["temperature_from"].startswith("none")
    found = values(scores)
    assert all((found[name] is None) == name.endswith(SCALED) for name in CALIBRATION)
    assert scores.details["reliability"].keys() == {"raw"}


def test_a_probes_temperature_is_fitted_on_the_rows_that_chose_lambda():
    train, val, test = mixture(sizes=(150, 90, 80))
    scores = probed(Inputs({"train": train, "val": val, "test": test}), calibration="fitted")
    lambda_ = scores.details["lambda"]
    # the objective is the sum of losses + lambda / 2 |w|^2, so that scikit-learn's C is 1 / lambda
    fit = LogisticRegression(C=1 / lambda_, tol=1e-9, max_iter=5000).fit(train.array.astype(np.float64), train.labels)
    logits = fit.decision_function(val.array.astype(np.float64))
    assert scores.details["temperature"] == pytest.approx(best_temperature(logits, val.labels), rel=2e-2)
    assert scores.details["temperature_from"] == "90 samples that chose lambda"


def test_folds_give_a_temperature_too_and_a_fixed_lambda_none():
    train, test = mixture(sizes=(160, 80))
    inputs = Inputs({"train": train, "test": test})
    folds = probed(inputs, calibration="fitted", selection="cross_validation")
    assert folds.details["temperature_from"] == "160 samples, each held out of one of 5 folds"
    assert 0.3 < folds.details["temperature"] < 5 and values(folds)["nll_scaled"] is not None
    fixed = probed(inputs, calibration="fitted", lambda_=1.0)
    assert fixed.details["temperature"] is None and values(fixed)["ece_scaled"] is None


def test_the_attentive_probe_is_calibrated_too(monkeypatch):
    short = dataclasses.replace(attentive_head.AIM, least_steps=10, epochs=1)
    monkeypatch.setattr(attentive_head, "AIM", short)
    train, test = mixture(sizes=(60, 40), d=8, c=3)
    grids = {
        name: dataclasses.replace(x, array=x.array.reshape(-1, 1, 1, 8))
        for name, x in (("train", train), ("test", test))
    }
    scores = probed(Inputs(grids), "attentive_probe", calibration="fitted", lr=1e-3)
    assert "that chose learning rate" in scores.details["temperature_from"] and scores.details["temperature"] > 0
    assert values(scores)["nll_scaled"] > 0


def test_a_class_that_train_lacks_has_no_log_loss():
    train, test = mixture(c=4)
    test.labels[:2] = 4
    scores = probed(Inputs({"train": train, "test": test}, class_names=list("abcde")), calibration="fitted")
    found = values(scores)
    assert found["nll"] is None and found["nll_scaled"] is None and "log_loss" not in scores.samples
    assert 0 < found["brier"] < 2 and 0 < found["ece"] < 1 and 0.1 < scores.details["temperature"] < 10


def test_of_one_class_every_prediction_is_right_and_sure():
    one = features(rng().normal(size=(20, WIDTH)), np.zeros(20, dtype=int))
    protocol = get_protocol("zeroshot")
    inputs = Inputs({"test": one, "train": one}, text_encoder({"a": prototypes()[0]}), ["a"], ["{c}"], "made up")
    scores = protocol.score(protocol.Settings(calibration="fitted"), inputs)
    assert scores.details["temperature"] == 1
    assert {values(scores)[name] for name in CALIBRATION} == {0}


def test_few_held_out_logits_are_enough(monkeypatch):
    monkeypatch.setattr(reliability, "MOST", 50)
    assert reliability.thinned(np.arange(40), 5).tolist() == list(range(0, 40, 4))
    assert reliability.thinned(np.arange(10), 5).tolist() == list(range(10))


def test_open_set_of_zero_shot_is_told_by_cosines():
    test, others = zero_shot_images(3), features(rng(9).normal(size=(70, WIDTH)))
    scores = zero_shot({"test": test, "ood": others}, ood="csv:any")
    known = np.repeat([1, 0], [120, 70])
    inside, outside = cosines(test), cosines(others)
    of_all = np.concatenate([inside, outside])
    found = values(scores)
    assert found["ood_auroc_max_logit"] == pytest.approx(roc_auc_score(known, of_all.max(axis=1)), abs=1e-6)
    assert found["ood_auroc_mcm"] == pytest.approx(roc_auc_score(known, softmax(of_all).max(axis=1)), abs=1e-3)
    energy = np.log(np.exp(100 * of_all).sum(axis=1))
    assert found["ood_auroc_energy"] == pytest.approx(roc_auc_score(known, energy), abs=1e-6)
    assert "ood_auroc_msp" not in found
    [metric] = [metric for metric in scores.metrics if metric.name == "ood_fpr95_mcm"]
    assert metric.num_scored == 190 and not metric.higher_is_better and 0 < metric.value <= 1


def test_labels_of_the_open_set_mean_nothing_to_a_probe():
    train, test = mixture()
    others = features(test.array + 9, np.full(len(test.array), 40))
    plain = probed(Inputs({"train": train, "test": test}))
    more = probed(Inputs({"ood": others, "train": train, "test": test}), ood="csv:any")
    assert more.metrics[: len(plain.metrics)] == plain.metrics and more.details == plain.details
    assert {"ood_auroc_msp", "ood_auroc_energy", "ood_fpr95_max_logit"} <= values(more).keys()


@pytest.mark.parametrize("settings", [{"calibration": "raw"}, {"ood": "csv:any"}, {"stability": True}])
def test_several_labels_and_shots_are_refused(settings):
    [setting] = settings
    train, test = mixture()
    many = {
        role: dataclasses.replace(x, labels=np.eye(5, dtype=int)[x.labels])
        for role, x in (("train", train), ("test", test))
    }
    with pytest.raises(
        IncompatibleError, match=f"{setting}: got a dataset with several labels per image, expected one"
    ):
        probed(Inputs(many), **settings)
    with pytest.raises(ValueError, match=f"expected {setting} without shots"):
        get_protocol("linear_probe").Settings(shots=4, **settings)


def noisy(images, noise, seed):
    return dataclasses.replace(
        images, array=images.array + noise * rng(seed).normal(size=images.array.shape).astype("f4")
    )


@pytest.mark.parametrize("name", ["zeroshot", "linear_probe"])
def test_corrupted_and_changed_images_are_scored_by_the_same_classifier(name):
    train, test = zero_shot_images(1), zero_shot_images(11)
    names = ["fog/1", "fog/2", "snow/3", *small_changes()]
    images = {each: noisy(test, place, place) for place, each in enumerate(names)}
    settings = {"corruptions": ["snow/3", "fog/2", "fog/1"], "stability": True}
    both = {"train": train, "test": test}
    run = zero_shot if name == "zeroshot" else lambda images, **s: probed(Inputs(images), lambda_=1.0, **s)
    plain, scores = run(both), run({**images, **both}, **settings)
    found = values(scores)
    assert scores.metrics[: len(plain.metrics)] == plain.metrics
    predictions = {each: np.array(run({"train": train, "test": images[each]}).samples["prediction"]) for each in names}
    right = {each: np.mean(predictions[each] == test.labels) for each in names}
    assert found["corrupted_acc1@fog"] == pytest.approx((right["fog/1"] + right["fog/2"]) / 2, abs=1e-9)
    assert found["corrupted_acc1@snow"] == pytest.approx(right["snow/3"], abs=1e-9)
    assert found["corrupted_acc1"] == pytest.approx(np.mean([right[each] for each in names[:3]]), abs=1e-9)
    assert "mce_alexnet" not in found
    same = {each: np.mean(predictions[each] == np.array(plain.samples["prediction"])) for each in small_changes()}
    assert found["stability"] == pytest.approx(np.mean(list(same.values())), abs=1e-9)
    assert scores.details["stability"] == pytest.approx(same, abs=1e-9)
    assert scores.details["corruptions"] == pytest.approx({each: right[each] for each in names[:3]}, abs=1e-9)
    assert np.shape(scores.samples["correct@fog"]) == (120, 2) and np.shape(scores.samples["same"]) == (120, 7)


def test_all_corruptions_give_an_mce():
    test = zero_shot_images(11, 30)
    images = dict.fromkeys(corruptions_of(["all"]), test)
    found = values(zero_shot({**images, "test": test}, corruptions="all"))
    error = 1 - found["acc1"]
    expected = np.mean([error / of_alexnet for of_alexnet in ALEXNET.values()])
    assert found["mce_alexnet"] == pytest.approx(100 * expected, abs=1e-9) and found["corrupted_acc1"] == found["acc1"]
    assert sum(name.startswith("corrupted_acc1@") for name in found) == 15


def test_images_that_cannot_be_altered_are_counted():
    test = zero_shot_images(11, 30)
    fewer = dataclasses.replace(test, array=test.array[1:], keys=test.keys[1:], labels=test.labels[1:])
    with pytest.raises(DataError, match="1 of 30 images cannot be altered by fog/1: expected sides of at least 3"):
        zero_shot({"fog/1": fewer, "test": test}, corruptions=["fog/1"])


def test_settings_name_corruptions_in_one_way():
    model = get_protocol("zeroshot").Settings
    assert model(corruptions="all").corruptions == ("all",) == model(corruptions=list(CORRUPTIONS)).corruptions
    assert model(corruptions=["snow/2", "fog/1"]).alterations == ["snow/2", "fog/1"] and model().alterations == []
    assert model(**model(corruptions="fog").model_dump()).corruptions == ("fog",)
    for wrong, said in ((["frog"], "got 'frog'"), (3, "expected all, or a list"), ([3], "expected all, or a list")):
        with pytest.raises(ValueError, match=said):
            model(corruptions=wrong)


def test_groups_of_the_data_are_compared_without_being_asked_for():
    train, test = mixture()
    groups = {key: "abc"[place % 3] for place, key in enumerate(test.keys)}
    scores = probed(Inputs({"train": train, "test": test}, groups=groups), lambda_=1.0)
    correct = np.array(scores.samples["correct"]).reshape(-1)
    each = {name: correct[np.array(scores.samples["group"]) == name].mean() for name in "abc"}
    found = values(scores)
    assert found["worst_group_acc1"] == pytest.approx(min(each.values()), abs=1e-9)
    assert found["group_gap"] == pytest.approx(correct.mean() - min(each.values()), abs=1e-9)
    assert {name: line["acc1"] for name, line in scores.details["groups"].items()} == pytest.approx(each)
    assert sum(line["num_scored"] for line in scores.details["groups"].values()) == len(correct)
    shots = probed(Inputs({"train": train, "test": test}, groups=groups), lambda_=1.0, shots=4, trials=2)
    assert values(shots)["worst_group_acc1"] <= values(shots)["acc1"]


def test_the_temperature_is_of_the_images_whose_class_is_possible():
    r = rng(3)
    logits, labels = 4 * r.normal(size=(60, 4)), r.integers(4, size=60)
    impossible = logits.copy()
    impossible[np.arange(60), labels] = -np.inf
    with_them = reliability.HeldOut(torch.tensor(np.vstack([logits, impossible])), np.tile(labels, 2), "x")
    expected = best_temperature(logits, labels)
    assert reliability._temperature(with_them) == pytest.approx(expected, rel=1e-3)
    assert reliability._temperature(reliability.HeldOut(torch.tensor(impossible), labels, "x")) is None
