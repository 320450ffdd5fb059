"""Open-set metrics against scikit-learn and scipy."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from sklearn.metrics import roc_auc_score, roc_curve

from mlcd_eval.metrics.open_set import open_set_scores, prepare_fpr95
from mlcd_eval.metrics.table import metric_value


def rng(seed=0):
    return np.random.default_rng(seed)


def test_scores_are_those_of_the_papers():
    logits = rng().normal(0, 20, size=(90, 5)).astype(np.float32)
    chunks = torch.from_numpy(logits).split(32)
    found, cosines = open_set_scores(chunks), open_set_scores(chunks, cosine_scale=100.0)
    exact = logits.astype(np.float64)
    assert found.keys() == {"max_logit", "energy", "msp"} and cosines.keys() == {"max_logit", "energy", "mcm"}
    assert found["max_logit"] == pytest.approx(exact.max(axis=1), abs=1e-9)
    assert found["energy"] == pytest.approx(logsumexp(exact, axis=1), abs=1e-9)
    assert found["msp"] == pytest.approx(softmax(exact, axis=1).max(axis=1), abs=1e-9)
    assert cosines["mcm"] == pytest.approx(softmax(exact / 100, axis=1).max(axis=1), abs=1e-9)


@pytest.mark.parametrize(("inside", "outside", "levels"), [(60, 40, 1000), (20, 50, 1000), (97, 33, 7), (1, 1, 2)])
def test_auroc_and_fpr95_are_those_of_scikit_learns_curve(inside, outside, levels):
    known = np.repeat([1, 0], [inside, outside])
    scores = np.round(levels * (rng(levels).random(inside + outside) + 0.3 * known)) / levels
    columns = {"known": known, "energy": scores}
    assert metric_value("ood_auroc_energy", columns) == pytest.approx(roc_auc_score(known, scores), abs=1e-9)
    fpr, tpr, _ = roc_curve(known, scores, drop_intermediate=False)
    expected = fpr[np.argmax(tpr >= 0.95)]
    assert metric_value("ood_fpr95_energy", columns) == pytest.approx(expected, abs=1e-9)
    rows = rng(2).integers(len(known), size=len(known))
    if 0 < known[rows].sum() < len(rows):
        fpr, tpr, _ = roc_curve(known[rows], scores[rows], drop_intermediate=False)
        found = prepare_fpr95(scores[:, None], known)(rows)
        assert found == pytest.approx(fpr[np.argmax(tpr >= 0.95)], abs=1e-9)


def test_one_side_alone_has_no_value():
    for known in ([1, 1], [0, 0]):
        columns = {"known": np.array(known), "mcm": np.array([0.1, 0.2])}
        assert metric_value("ood_fpr95_mcm", columns) is None and metric_value("ood_auroc_mcm", columns) is None
