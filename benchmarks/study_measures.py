"""What is measured of a tower and its class rows: on scenes with true labels, and on single objects in clutter."""

import numpy as np
import torch
from torch.nn.functional import normalize

from mlcd_eval.metrics.multilabel import Rankings
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification.knn import KNN, KNNSettings
from mlcd_eval.protocols.classification.logistic import LogisticProblem

K = 10  # neighbours
PENALTY = 1.0  # lambda of both linear probes, on features of unit length times 10
BINS = 20  # of cosines, from -1 to 1


@torch.no_grad()
def features_of(model, pixels):
    """Unit features (N, D), float32, of pixels (N, S, S, 3) uint8, in the space of the class rows."""
    preprocess = model.config.preprocess
    mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
    rows = []
    for part in torch.from_numpy(pixels).split(200):
        pooled, _ = model.visual(((part / 255 - mean) / std).permute(0, 3, 1, 2).contiguous())
        rows.append(normalize(pooled if model.projection is None else pooled @ model.projection, dim=1))
    return torch.cat(rows).numpy()


def mean_average_precision(scores, labels):
    """All points, mean over classes, of scores (N, C) and labels (N, C)."""
    return Rankings(scores, labels).mean_average_precision()


def multilabel_probe(train, train_labels, test):
    """Scores (N, C) of a one-vs-rest probe with a fixed penalty; features (M, D) and (N, D) of unit length."""
    problem = LogisticProblem(10 * train, train_labels, train_labels.shape[1])
    return torch.cat(list(problem.fit(PENALTY, tolerance=1e-4).scores(10 * test))).numpy()


def in_clutter(gallery, gallery_labels, query, query_labels, classes):
    """Accuracies of kNN and of a linear probe (softmax) for the one object that counts; labels (N,)."""
    images = {
        "train": Features(gallery, [f"g{n}" for n in range(len(gallery))], gallery_labels),
        "test": Features(query, [f"q{n}" for n in range(len(query))], query_labels),
    }
    names = [str(number) for number in range(classes)]
    scores = KNN().score(KNNSettings(ks=(K,)), Inputs(images, class_names=names))
    knn = next(metric.value for metric in scores.metrics if metric.name == f"knn_acc1@{K}")
    fit = LogisticProblem(10 * gallery, gallery_labels, classes).fit(PENALTY, tolerance=1e-4)
    predicted = torch.cat(list(fit.scores(10 * query))).argmax(dim=1).numpy()
    return {"knn": knn, "linear_probe": float((predicted == query_labels).mean())}


def cosines_by_truth(cosine, true, given):
    """Mean cosines (N, C) with class rows by what is true, and by what was said of the image in training.

    own, other: classes that are in the image or not. wrong: given, but not in it; missed: in it, but not given; None
    where there are none.
    """
    true, given = true.astype(bool), given.astype(bool)
    groups = {"own": true, "other": ~true, "wrong": given & ~true, "missed": true & ~given}
    return {name: float(cosine[members].mean()) if members.any() else None for name, members in groups.items()}


def calibration(cosine, true, given):
    """Counts of pairs by their cosine: for given and for other labels, how many there are and how many are true."""
    place = np.clip(((cosine + 1) / 2 * BINS).astype(int), 0, BINS - 1)
    counts = {}
    for name, members in (("given", given.astype(bool)), ("not_given", ~given.astype(bool))):
        counts[name] = {
            "pairs": np.bincount(place[members], minlength=BINS).tolist(),
            "true": np.bincount(place[members], true[members], minlength=BINS).astype(int).tolist(),
        }
    return counts
