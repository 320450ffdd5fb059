import numpy as np
import pytest
import torch
from protocol_inputs import features, mixture, rng, values
from pydantic import ValidationError
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, logsumexp
from sklearn.linear_model import LogisticRegression

from mlcd_eval.data.split import stratified_folds
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification import cross_validation, linear_probe, probe_training
from mlcd_eval.protocols.classification.linear_probe import LinearProbe, LinearProbeSettings
from mlcd_eval.protocols.classification.sweep import HALF_DECADE, search_lambda
from mlcd_eval.protocols.classification.temperature import fit_temperature, log_losses


def score(train, test, seed=0, selection="cross_validation", **settings):
    settings = LinearProbeSettings(selection=selection, **settings)
    return LinearProbe().score(settings, Inputs({"train": train, "test": test}, seed=seed))


def noisy(seed=0, sizes=(150, 100), c=4, d=6):
    """A mixture with wrong labels in train, so that the best lambda is inside the grid."""
    train, test = mixture(seed, sizes=sizes, d=d, c=c)
    labels = np.where(rng(seed).random(sizes[0]) < 0.3, rng(seed).permutation(train.labels), train.labels)
    return features(train.array, labels), test


def least_log_loss(logits, labels):
    """Mean cross entropy at the best temperature, by scipy in float64."""

    def loss(log_inverse):
        scaled = np.exp(log_inverse) * logits
        return (logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]).mean()

    return minimize_scalar(loss, bounds=(np.log(1e-3), np.log(1e3)), method="bounded", options={"xatol": 1e-8}).fun


def sklearn_probe(x, y, lambda_):
    return LogisticRegression(C=1 / lambda_, tol=1e-8, max_iter=20_000).fit(x.astype(np.float64), y)


def test_the_whole_selection_against_scikit_learn(monkeypatch):
    monkeypatch.setattr(probe_training, "SEARCH_TOLERANCE", 1e-7)
    monkeypatch.setattr(cross_validation, "BEHIND", np.inf)
    train, test = noisy()
    folds = stratified_folds(train.labels, 5, rng(3))

    def held_out(lambda_):
        logits, labels = [], []
        for fold in folds:
            others = np.setdiff1d(np.arange(len(train.labels)), fold)
            probe = sklearn_probe(train.array[others], train.labels[others], lambda_)
            logits.append(probe.decision_function(train.array[fold].astype(np.float64)))
            labels.append(train.labels[fold])
        return -least_log_loss(np.concatenate(logits), np.concatenate(labels))

    best, tried = search_lambda(held_out, HALF_DECADE)
    scores = score(train, test, seed=3)
    assert scores.details["lambda"] == pytest.approx(best / np.sqrt(10))
    losses = {step["lambda"]: -step["log_loss"] for step in scores.details["search"]}
    assert losses == pytest.approx(tried, abs=1e-4)
    assert scores.details["lambda_from"] == "search by log-loss on 150 samples in 5 folds"
    final = sklearn_probe(train.array, train.labels, scores.details["lambda"])
    assert scores.samples["prediction"] == final.predict(test.array.astype(np.float64)).tolist()


def test_a_race_ends_where_the_whole_search_does(monkeypatch):
    train, test = noisy(1, sizes=(400, 80), d=60)
    quick = score(train, test).details
    monkeypatch.setattr(cross_validation, "BEHIND", np.inf)
    whole = score(train, test).details
    assert quick["lambda"] == whole["lambda"]
    assert any(step["out_of_reach"] for step in quick["search"])
    assert not any(step["out_of_reach"] for step in whole["search"])
    best = min(step["log_loss"] for step in quick["search"])
    assert all(step["log_loss"] > best for step in quick["search"] if step["out_of_reach"])


def test_the_spread_over_selections_is_that_of_their_values_and_widens_intervals():
    train, test = noisy(2)
    scores = score(train, test)
    rows = scores.details["selections"]
    assert sum(row["times"] for row in rows) == 20 and len(rows) > 1
    for row in rows:
        fixed = values(score(train, test, lambda_=row["lambda"]))
        assert row["acc1"] == pytest.approx(fixed["acc1"], abs=0.0101)  # a sample, at the tolerance of a search
    of_selection = [row["acc1"] for row in rows for _ in range(row["times"])]
    std = scores.details["std_over_selections"]["acc1"]
    assert std == pytest.approx(np.std(of_selection, ddof=1))
    (alone,) = [m for m in score(train, test, lambda_=scores.details["lambda"]).metrics if m.name == "acc1"]
    (metric,) = [m for m in scores.metrics if m.name == "acc1"]
    assert metric.value == alone.value
    wanted = [
        alone.value - np.hypot(alone.value - alone.ci95[0], 1.95996 * std),
        alone.value + np.hypot(alone.ci95[1] - alone.value, 1.95996 * std),
    ]
    assert metric.ci95 == pytest.approx(wanted, abs=1e-5)


def test_two_models_have_the_same_folds(monkeypatch):
    seen = []

    def noted(*given):
        seen.append(stratified_folds(*given))
        return seen[-1]

    monkeypatch.setattr(linear_probe, "stratified_folds", noted)
    train, test = noisy(3)
    for array in (train.array, rng().normal(size=train.array.shape)):
        score(features(array, train.labels), test, seed=5)
    for first, second in zip(*seen, strict=True):
        np.testing.assert_array_equal(first, second)


def test_many_train_images_are_not_cross_validated(monkeypatch):
    monkeypatch.setattr(linear_probe, "TOO_MANY", 150)
    train, test = noisy(4)
    scores = score(train, test)
    assert scores == score(train, test, selection="holdout")
    assert scores.details["lambda_from"].startswith("search by acc1 on ") and "selections" not in scores.details


@pytest.mark.parametrize("counts", [(2, 2), (2, 1), (3, 2, 1)])
def test_fewer_images_than_folds(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    train = features(np.eye(len(counts), 3)[labels] + rng().normal(0, 0.1, (len(labels), 3)), labels)
    scores = score(train, train)
    held_out = sum(count for count in counts if count > 1)
    assert scores.details["lambda_from"] == f"search by log-loss on {held_out} samples in {min(5, held_out)} folds"
    assert values(scores)["acc1"] >= 0.5


def test_one_image_of_each_class_gives_the_default():
    train = features(np.eye(3), np.arange(3))
    details = score(train, train).details
    assert details["lambda"] == 1 and details["lambda_from"].startswith("default")
    assert "std_over_selections" not in details


def test_several_labels_one_of_which_a_fold_alone_has():
    array = rng(5).normal(size=(60, 4))
    labels = (array @ rng(6).normal(size=(4, 3)) + rng(7).normal(size=(60, 3)) > 0).astype(np.int64)
    labels[:, 2] = np.arange(60) == 7  # without contrast where image 7 is held out
    data = features(array, labels)
    scores = score(data, data)
    assert scores.details["lambda_from"] == "search by log-loss on 60 samples in 5 folds"
    assert all(np.isfinite(step["log_loss"]) for step in scores.details["search"])
    assert set(scores.details["std_over_selections"]) == {"map", "map_11point"}


@pytest.mark.parametrize("given", [{"val_fraction": 0.1}, {"hold_out": "dinov2"}, {"sweep": "dinov2"}])
def test_what_is_held_out_is_said_with_holdout_only(given):
    with pytest.raises(ValidationError, match="expected selection holdout with it, got cross_validation"):
        LinearProbeSettings(**given, selection="cross_validation")
    LinearProbeSettings(**given, selection="holdout")


@pytest.mark.parametrize("scale", [0.02, 1.0, 40.0])
def test_temperature_of_one_label(scale):
    labels = rng().integers(5, size=200)
    logits = scale * (np.eye(5)[labels] + rng(1).normal(size=(200, 5)))
    logits[:, 4] = np.where(labels == 4, logits[:, 4], -1e30)
    z, y = torch.as_tensor(logits), torch.as_tensor(labels)
    losses = log_losses(z, y, fit_temperature(z, y))
    assert losses.mean().item() == pytest.approx(least_log_loss(logits, labels), abs=1e-9)


def test_temperature_of_several_labels():
    labels = rng().integers(2, size=(100, 3))
    logits = 7 * (2 * labels - 1 + 2 * rng(1).normal(size=(100, 3)))
    z, y = torch.as_tensor(logits), torch.as_tensor(labels)
    temperature = fit_temperature(z, y)
    found = log_losses(z, y, temperature)
    signs = 2 * labels - 1
    assert found.numpy() == pytest.approx(-log_expit(signs * logits / temperature).sum(axis=1))
    slope = ((expit(logits / temperature) - labels) * logits).sum()  # zero at the minimum
    assert slope / np.abs(logits).sum() == pytest.approx(0, abs=1e-6)


def test_temperature_of_logits_that_are_always_right_is_low():
    logits, labels = torch.eye(3, dtype=torch.float64), torch.arange(3)
    assert log_losses(logits, labels, fit_temperature(logits, labels)).max() < 1e-9
