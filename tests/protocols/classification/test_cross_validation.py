from types import SimpleNamespace

import numpy as np
import pytest
import torch
from protocol_inputs import features, mixture, rng, values
from pydantic import ValidationError
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from mlcd_eval.data.split import stratified_folds
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification import cross_validation, probe_rows, probe_training
from mlcd_eval.protocols.classification.linear_probe import LinearProbe, LinearProbeSettings
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


def held_out_by_sklearn(train, folds, lambda_):
    """Logits (N, C) of each image, from a fit without its fold."""
    logits = np.empty((len(train.labels), len(np.unique(train.labels))))
    for fold in folds:
        others = np.setdiff1d(np.arange(len(train.labels)), fold)
        probe = sklearn_probe(train.array[others], train.labels[others], lambda_)
        logits[fold] = probe.decision_function(train.array[fold].astype(np.float64))
    return logits


def margins(logits, labels):
    true = np.eye(logits.shape[1], dtype=bool)[labels]
    return logits[true] - np.where(true, -np.inf, logits).max(axis=1)


def test_the_whole_selection_against_scikit_learn(monkeypatch):
    monkeypatch.setattr(probe_training, "TOLERANCE", 1e-8)
    train, test = noisy()
    chance = rng(3)
    partitions = [stratified_folds(train.labels, 5, chance) for _ in range(2)]
    details = (scores := score(train, test, seed=3)).details
    assert details["lambda_from"] == "smoothed accuracy of 150 samples in 2 x 5 folds"
    rows = []
    for step in details["search"]:
        twice = [held_out_by_sklearn(train, folds, step["lambda"]) for folds in partitions]
        both, labels = np.concatenate(twice), np.tile(train.labels, 2)
        assert step["log_loss"] == pytest.approx(least_log_loss(both, labels), abs=1e-4)
        of_images = norm.cdf(2 * margins(both, labels) / margins(both, labels).std()).reshape(2, -1).mean(axis=0)
        assert step["score"] == pytest.approx(of_images.mean(), abs=1e-4)
        rows.append(of_images)
    places = np.array([8 * (6 + np.log10(step["lambda"])) for step in details["search"]])
    assert np.diff(places) == pytest.approx(-4) and len(places) == 7
    assert np.argmin([step["log_loss"] for step in details["search"]]) == 3  # in the middle
    draws = rng(9).multivariate_normal(np.mean(rows, axis=1), np.cov(rows) / 150, size=100_000).argmax(axis=1)
    shares = [step["share_best"] for step in details["search"]]
    assert shares == pytest.approx(np.bincount(draws, minlength=7) / 100_000, abs=0.05)
    assert np.log10(details["lambda"]) == pytest.approx(round(shares @ places) / 8 - 6)
    final = sklearn_probe(train.array, train.labels, details["lambda"])
    assert scores.samples["prediction"] == final.predict(test.array.astype(np.float64)).tolist()


@pytest.mark.parametrize("scale", [1e-4, 1e3])
def test_a_best_lambda_far_away_is_found(scale):
    """Features of a tenth the length need a hundredth of the penalty."""
    train, test = noisy(1, sizes=(300, 80), d=40)
    scaled = [features(scale * each.array, each.labels) for each in (train, test)]
    before, after = (score(*both).details["search"] for both in ((train, test), scaled))
    middle = [search[np.argmin([step["log_loss"] for step in search])]["lambda"] for search in (before, after)]
    wanted = np.clip(middle[0] * scale**2, 1e-6, 1e6)
    assert np.log10(middle[1]) == pytest.approx(np.log10(wanted), abs=0.51)


def test_smoothed_accuracy_by_hand():
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 4.0], [1.0, 2.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 2, 0])  # margins 2, 4 and -1
    width = 0.5 * np.std([2, 4, -1])
    assert cross_validation.smoothed_accuracy(logits, labels) == pytest.approx(norm.cdf(np.array([2, 4, -1]) / width))
    alike = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert cross_validation.smoothed_accuracy(alike, torch.tensor([0, 1])).tolist() == [1, 1]


def test_candidates_that_never_differ_are_weighted_alike_or_not_at_all():
    places, scores = [96, 92, 88], np.stack([np.full(50, 0.5), rng().random(50) + 2, np.full(50, 0.4)])
    place, others, shares = cross_validation._averaged(places, scores, rng())
    assert place == 92 and set(others) == {92} and shares.tolist() == [0, 1, 0]


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

    monkeypatch.setattr(probe_rows, "stratified_folds", noted)
    train, test = noisy(3)
    for array in (train.array, rng().normal(size=train.array.shape)):
        score(features(array, train.labels), test, seed=5)
    assert len(seen) == 4
    for first, second in zip([*seen[0], *seen[1]], [*seen[2], *seen[3]], strict=True):
        np.testing.assert_array_equal(first, second)


def test_few_shot_draws_are_cross_validated_without_selections():
    train, test = noisy(3)
    details = score(train, test, shots=8, trials=2).details
    assert [trial["lambda_from"] for trial in details["trials"]] == [
        "smoothed accuracy of 32 samples in 2 x 5 folds"
    ] * 2
    assert "selections" not in details and "selections" in score(train, test, shots=8, trials=1).details


def test_many_train_images_are_not_cross_validated(monkeypatch):
    monkeypatch.setattr(probe_rows, "TOO_MANY", 150)
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
    wanted = f"smoothed accuracy of {held_out} samples in 2 x {min(5, held_out)} folds"
    assert scores.details["lambda_from"] == wanted
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
    assert scores.details["lambda_from"] == "log-loss of 60 samples in 2 x 5 folds"
    assert all(np.isfinite(step["log_loss"]) for step in scores.details["search"])
    assert set(scores.details["std_over_selections"]) == {"map", "map_11point"}


def test_a_label_without_contrast_has_the_logits_of_its_true_answers():
    """So that it adds nothing to the loss: plus and minus infinity, as far as they can be used."""
    labels = torch.tensor([[1, 0], [0, 1]])
    fit = SimpleNamespace(
        scores=lambda _: [torch.tensor([[0.5, torch.inf], [-0.5, torch.inf]])], bias=torch.tensor([0.0, torch.inf])
    )
    logits = cross_validation._finite_logits(fit, SimpleNamespace(features=None, labels=labels))
    assert logits.tolist() == torch.tensor([[0.5, -1e30], [-0.5, 1e30]]).tolist()


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
