"""Clustering of one split into as many clusters as it has classes, by scikit-learn's MiniBatchKMeans (MTEB's image
clustering)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.table import CLUSTERING, measure
from mlcd_eval.protocols.base import Elsewhere, Features, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.classification.labelled import checked_labels
from mlcd_eval.protocols.dialects import ProtocolDialect, ProtocolSettings
from mlcd_eval.protocols.shared.scored import vectors_of_one_split
from mlcd_eval.protocols.shared.unit import unit
from mlcd_eval.protocols.shared.vector_layer import VectorLayer


class ClusteringSettings(ProtocolSettings):
    """exif: turn images as their EXIF orientation says. normalise: divide each feature by its length. batch_size,
    random_state: of MiniBatchKMeans; the run's seed changes the interval of the accuracy only."""

    split: str = "test"
    layer: VectorLayer = PENULTIMATE
    exif: bool = False
    normalise: bool = False
    batch_size: PositiveInt = 500
    random_state: NonNegativeInt = 42


DIALECTS = {
    "mteb": ProtocolDialect(
        {"layer": "projected", "exif": True},
        "mteb 2.26, abstasks/clustering_legacy.py (AbsTaskClusteringLegacy, its image tasks)",
        "The same library on the same features gives the same clusters; the last bits of features may move a sample.",
    )
}
FACTORS = {"layer": (PENULTIMATE, "projected"), "exif": (False, True), "normalise": (False, True)}


ELSEWHERE = Elsewhere(
    tasks=("Image Clustering",),
    metrics=(("nmi", "NMI"), ("ari", "ARI"), ("cluster_accuracy", "Accuracy")),
    hub_task="image-feature-extraction",
)


class Clustering(Protocol[ClusteringSettings]):
    """Labels are used only to count the classes and to score.

    nmi is normalised by the arithmetic mean of the entropies, and so is the V-measure. cluster_accuracy is that of the
    best one-to-one match of clusters to classes.
    """

    name = "clustering"
    version = 1
    kinds = ("classification",)
    elsewhere = ELSEWHERE
    shows_all_metrics = True  # all three
    dialects = DIALECTS
    factors = FACTORS

    def requests(self, settings: ClusteringSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return one split at one layer. Raises IncompatibleError if the split is missing."""
        return vectors_of_one_split(self.name, settings, splits)

    def score(self, settings: ClusteringSettings, inputs: Inputs) -> Scores:
        """Intervals are over samples, whose clusters stay as they are. A sample is `correct` where its cluster is the
        one that is matched to its class.

        Raises DataError where all images are of one class, and for features that are not finite.
        """
        images = inputs.images["test"]
        columns, details = clustered(
            images, settings.split, settings.normalise, settings.batch_size, settings.random_state
        )
        samples = {"key": list(images.keys), **columns}
        return Scores(
            metrics=[measure(name, samples, inputs.seed, len(images.bad)) for name in CLUSTERING],
            primary="nmi",
            samples=samples,
            details=details,
        )


def clustered(
    images: Features, split: str, normalise: bool, batch_size: int = 500, random_state: int = 42
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Return the columns label, cluster and correct of images in as many clusters as they have classes, and details.

    Raises DataError where all images are of one class, and for features that are not finite.
    """
    import torch
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    labels = checked_labels(images, split)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise DataError(
            f"clusters of split {split!r} cannot be scored: got {len(labels)} images, all of class "
            f"{classes[0]}, expected at least two classes"
        )
    array = images.array.astype(np.float32, copy=False)
    array = unit(torch.tensor(array)).numpy() if normalise else array
    kmeans = MiniBatchKMeans(len(classes), batch_size=batch_size, n_init="auto", random_state=random_state)
    with threadpool_limits(1):  # sums over threads are rounded in another order
        clusters = kmeans.fit(array).labels_.astype(np.int64)
    columns = {
        "label": labels.tolist(),
        "cluster": clusters.tolist(),
        "correct": (matched(labels, clusters) == labels).astype(np.float64).tolist(),
    }
    return columns, {"num_clusters": len(classes), "inertia": float(kmeans.inertia_), "steps": int(kmeans.n_steps_)}


def matched(labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return, for each sample, the class that its cluster is matched to, -1 for none: the one-to-one match of most
    samples (the Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((labels.max() + 1, clusters.max() + 1), dtype=np.int64)
    np.add.at(table, (labels, clusters), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    match = np.full(table.shape[1], -1)
    match[columns] = rows
    return match[clusters]
