"""Calibration metrics against scikit-learn and loops of their definitions."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from mlcd_eval.metrics.calibration import (
    BINS,
    bins_of,
    calibration_samples,
    prepare_aurc,
    prepare_calibration_error,
    reliability,
)
from mlcd_eval.metrics.table import measure, metric_value

EXACT = 1e-9


def rng(seed=0):
    return np.random.default_rng(seed)


def overconfident(n=400, classes=7, seed=0):
    """Logits that are three times too long, and labels."""
    r = rng(seed)
    logits = r.normal(size=(n, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([r.choice(classes, p=row) for row in p])
    return (3 * logits).astype(np.float32), labels


def columns(logits, labels, temperature=1.0, chunk=64):
    found = calibration_samples(torch.from_numpy(logits).split(chunk), labels, temperature)
    return found | {"correct": (logits.argmax(axis=1) == labels) * 1.0}


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_columns_are_those_of_the_probabilities(temperature):
    logits, labels = overconfident()
    found, p = columns(logits, labels, temperature), softmax(logits.astype(np.float64) / temperature)
    assert metric_value("nll", found) == pytest.approx(log_loss(labels, p, labels=range(7)), abs=EXACT)
    slow = [sum((p[i, c] - (labels[i] == c)) ** 2 for c in range(7)) for i in range(len(p))]
    assert found["brier"] == pytest.approx(slow, abs=EXACT)
    assert metric_value("brier", found) == pytest.approx(np.mean(slow), abs=EXACT)
    assert found["confidence"] == pytest.approx(p.max(axis=1), abs=EXACT)


@pytest.mark.parametrize(("name", "strategy"), [("ece", "uniform"), ("ece_equal_mass", "quantile")])
def test_calibration_error_is_that_of_scikit_learns_bins(name, strategy):
    found = columns(*overconfident())
    accuracy, confidence = calibration_curve(found["correct"], found["confidence"], n_bins=BINS, strategy=strategy)
    edges = np.linspace(0, 1, BINS + 1)
    edges = edges if strategy == "uniform" else np.percentile(found["confidence"], edges * 100)
    counts = np.bincount(np.searchsorted(edges[1:-1], found["confidence"]))
    expected = (counts[counts > 0] * np.abs(accuracy - confidence)).sum() / len(found["correct"])
    assert metric_value(name, found) == pytest.approx(expected, abs=EXACT) and expected > 0.1
    if strategy == "uniform":
        diagram = reliability(found["confidence"], found["correct"])
        assert [line["accuracy"] for line in diagram] == pytest.approx(accuracy, abs=EXACT)
        assert [line["confidence"] for line in diagram] == pytest.approx(confidence, abs=EXACT)
        assert sum(line["count"] for line in diagram) == len(found["correct"])


def test_bins_by_hand():
    assert bins_of(np.array([0.0, 1 / 15, 0.07, 1.0])).tolist() == [0, 0, 1, 14]  # a bin holds its upper end
    mass = bins_of(np.arange(30) / 30, "mass")
    assert np.bincount(mass).tolist() == [2] * 15
    assert len(set(bins_of(np.full(40, 0.9), "mass").tolist())) == 1
    one = np.array([[0.9, 1.0], [0.9, 1.0], [0.9, 0.0], [0.2, 0.0]])
    error = prepare_calibration_error("width", one)
    assert error(None) == pytest.approx((3 * abs(2 / 3 - 0.9) + 0.2) / 4)
    assert error(np.array([3, 3])) == pytest.approx(0.2)
    assert prepare_calibration_error("mass", one[:0])(None) is None


def risk_and_coverage(confidence, wrong):
    """Mean, over every order of equal confidences, of the mean error among the first k."""
    values = []
    for order in permutations(range(len(confidence))):
        if all(confidence[a] >= confidence[b] for a, b in pairwise(order)):
            values.append(np.mean([np.mean(wrong[list(order[:k])]) for k in range(1, len(order) + 1)]))
    return np.mean(values)


def test_aurc_is_the_mean_risk_over_coverages_with_ties_in_any_order():
    for seed in range(6):
        confidence, wrong = rng(seed).integers(3, size=6) / 3, rng(seed + 50).integers(2, size=6) * 1.0
        found = prepare_aurc(np.column_stack([confidence, 1 - wrong]))
        assert found(None) == pytest.approx(risk_and_coverage(confidence, wrong), abs=EXACT)
        rows = rng(seed).integers(6, size=6)
        assert found(rows) == pytest.approx(risk_and_coverage(confidence[rows], wrong[rows]), abs=EXACT)
    assert prepare_aurc(np.empty((0, 2)))(None) is None


def test_intervals_hold_the_value_although_resamples_are_larger():
    """Of a calibrated model nearly every resample has a larger error than the sample."""
    r = rng(3)
    confidence = r.uniform(0.3, 1, size=300)
    found = {"confidence": confidence, "correct": (r.random(300) < confidence) * 1.0}
    for name in ("ece", "ece_equal_mass"):
        metric = measure(name, found, seed=0)
        assert metric.ci95[0] <= metric.value <= metric.ci95[1] and not metric.higher_is_better
        error = prepare_calibration_error("width" if name == "ece" else "mass", np.column_stack(list(found.values())))
        resampled = [error(r.integers(300, size=300)) for _ in range(200)]
        assert np.mean(resampled) > metric.value * 1.2


def test_impossible_classes_have_an_infinite_loss():
    logits = np.array([[0.0, -np.inf], [1.0, 0.0]], np.float32)
    found = calibration_samples([torch.from_numpy(logits)], np.array([1, 0]))
    assert found["log_loss"][0] == np.inf and found["brier"][0] == 2 and np.isfinite(found["log_loss"][1])
