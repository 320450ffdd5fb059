"""Agreement of a clustering with the true classes, from the table of how many samples are in both.

Each metric comes with its influence function at every sample, so that its standard error follows by the delta method
(infinitesimal jackknife; Efron & Tibshirani 1993, chapter 22). A bootstrap would not do: drawing a sample twice makes
two points that always agree, which raises both metrics.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Agreement = tuple[float, NDArray[np.float64]]
"""A metric's value, and its influence function at each sample (N,), whose mean is 0."""


def normalized_mutual_information(labels: NDArray[np.int64], clusters: NDArray[np.int64]) -> Agreement:
    """2 I(labels; clusters) / (H(labels) + H(clusters)) of (N,) and (N,); it is also the V-measure.

    1 where both are one group (scikit-learn's normalized_mutual_info_score).
    """
    both, of_label, of_cluster = _shares(labels, clusters)
    if of_label.max() == 1 and of_cluster.max() == 1:
        return 1.0, np.zeros(len(labels))
    pointwise = np.log(both / (of_label * of_cluster))
    surprise = -np.log(of_label) - np.log(of_cluster)
    information, entropy = pointwise.mean(), surprise.mean()
    value = 2 * information / entropy
    return float(value), (2 * (pointwise - information) - value * (surprise - entropy)) / entropy


def adjusted_rand_index(labels: NDArray[np.int64], clusters: NDArray[np.int64]) -> Agreement:
    """Share of pairs of samples that are together or apart in both (N,) and (N,), adjusted for chance (Hubert & Arabie
    1985; scikit-learn's adjusted_rand_score)."""
    n = len(labels)
    both, of_label, of_cluster = _shares(labels, clusters)
    together, in_label, in_cluster = (share.mean() for share in (both, of_label, of_cluster))  # chance of a pair
    pairs, label_pairs, cluster_pairs = (n * (n * chance - 1) for chance in (together, in_label, in_cluster))
    expected = label_pairs * cluster_pairs / max(n * (n - 1), 1)
    most = (label_pairs + cluster_pairs) / 2
    if most == expected:  # all in one group, or each alone, in both
        return 1.0, np.zeros(n)
    value = (pairs - expected) / (most - expected)
    moves = [2 * (share - share.mean()) for share in (both, of_label, of_cluster)]
    expected_move = in_cluster * moves[1] + in_label * moves[2]
    span = (in_label + in_cluster) / 2 - in_label * in_cluster
    return float(value), (moves[0] - expected_move - value * ((moves[1] + moves[2]) / 2 - expected_move)) / span


def _shares(
    labels: NDArray[np.int64], clusters: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """For each sample the share of samples with its label and cluster, with its label, and with its cluster."""
    shares = []
    for group in (np.stack([labels, clusters]), labels[None], clusters[None]):
        _, which, sizes = np.unique(group, axis=1, return_inverse=True, return_counts=True)
        shares.append(sizes[which.reshape(-1)] / len(labels))
    return shares[0], shares[1], shares[2]
