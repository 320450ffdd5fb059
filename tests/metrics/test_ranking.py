"""Scores of whole rankings, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from mlcd_eval.metrics.ranking import average_precision, ndcg, padded, reciprocal_rank, share_found


def test_places_are_padded_and_sorted():
    assert padded([[3, 1], [2], [9, 4, 5]]).tolist() == [[1, 3, np.inf], [2, np.inf, np.inf], [4, 5, 9]]


def test_worked_by_hand():
    ranks = padded([[1, 3], [4], [2, 3, 20]])
    assert ndcg(ranks, 3) == pytest.approx(
        [
            (1 + 1 / 2) / (1 + 1 / np.log2(3)),
            0,
            (1 / np.log2(3) + 1 / 2) / (1 + 1 / np.log2(3) + 1 / 2),
        ]
    )
    assert average_precision(ranks, 3) == pytest.approx([(1 + 2 / 3) / 2, 0, (1 / 2 + 2 / 3) / 3])
    assert reciprocal_rank(ranks, 3) == pytest.approx([1, 0, 1 / 2])
    assert share_found(ranks, 3) == pytest.approx([1, 0, 2 / 3])


@pytest.mark.parametrize("k", [1, 4, 10, 30])
def test_scikit_learn_agrees(k):
    rng = np.random.default_rng(k)
    scores = rng.normal(size=(40, 30))
    right = rng.random((40, 30)) < 0.2
    right[:, 3] = True
    order = (-scores).argsort(axis=1)
    ranks = padded([(np.flatnonzero(good[row]) + 1).tolist() for good, row in zip(right, order, strict=True)])
    each = [ndcg_score(good[None], row[None], k=k) for good, row in zip(right.astype(int), scores, strict=True)]
    assert ndcg(ranks, k) == pytest.approx(each)
    whole = [average_precision_score(good, row) for good, row in zip(right, scores, strict=True)]
    assert average_precision(ranks, 30) == pytest.approx(whole)
    assert reciprocal_rank(ranks, 30) == pytest.approx(1 / ranks[:, 0])
    assert share_found(ranks, 30) == pytest.approx(np.ones(40))
