"""Linear probe by CLIP's protocol (Radford et al. 2021, appendix A.3; MLCD, appendix A.1.4).

Logistic regression on frozen features as they are (not standardised, not normalised). lambda is searched on the val
split, or on a seeded stratified part of train where there is none; the best one is fitted on train and val together;
only then is the test split scored. A candidate that is far below the best while its fit is still rough is fitted no
further, and the record says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from mlcd_eval.data.split import few_shot, stratified_split
from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.classification import (
    classification_metric,
    classification_metrics,
    classification_outcomes,
    stacked,
)
from mlcd_eval.metrics.multilabel import multilabel_metric, multilabel_metrics
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.labelled import checked_labels, count_classes, split_requests
from mlcd_eval.protocols.sweep import search_lambda
from mlcd_eval.protocols.threads import threads_for

if TYPE_CHECKING:
    from mlcd_eval.protocols.logistic import Fit

SEARCH_TOLERANCE = 1e-4  # chose what 1e-6 did on nine splits of three data sets; 1e-3 on seven
FINAL_TOLERANCE = 1e-6
OUT_OF_REACH = 1.5  # standard errors below the best; at GLANCE scores were off by at most 0.84 in 168 fits
DEFAULT_LAMBDA = 1.0  # where no class has a sample to spare for choosing it

_MULTILABEL = ("map_11point", "map")
_LEAST_CLASSES = {"acc5": 5, "mean_top1_top5": 5}


class LinearProbeSettings(BaseModel):
    """metric: the primary one, which also chooses lambda; None: acc1, or map_11point where images have several labels.

    val_fraction: of train, where the dataset has no val split; lambda_: fixed, in place of the search; max_iter: most
    passes over the data a fit. shots: so many train images a class and no label besides (val is not read), as the mean
    over `trials` seeded draws; lambda is searched on val_fraction of the shots, and is 1 for one shot.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str = PENULTIMATE
    metric: (
        Literal["acc1", "acc5", "mean_per_class_recall", "mean_top1_top5", "roc_auc", "map_11point", "map"] | None
    ) = None
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    lambda_: PositiveFloat | None = None
    max_iter: PositiveInt = 1000
    shots: PositiveInt | None = None
    trials: PositiveInt = 5


class LinearProbe(Protocol[LinearProbeSettings]):
    """Softmax regression, or one-vs-rest where images have several labels."""

    name = "linear_probe"
    Settings = LinearProbeSettings
    kinds = ("classification", "multilabel")

    def requests(self, settings: LinearProbeSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """train, test, and val where there is one (except for few-shot)."""
        return split_requests(self.name, settings.layer, splits, optional=() if settings.shots else ("val",))

    def score(self, settings: LinearProbeSettings, inputs: Inputs) -> Scores:
        """A test sample whose class train lacks is scored, as wrong.

        Raises IncompatibleError where the metric or few-shot does not fit the labels, or train has one class only;
        DataError where a feature is not finite.
        """
        labels = {split: checked_labels(features, split) for split, features in inputs.images.items()}
        multilabel = labels["train"].ndim == 2
        num_classes = count_classes(inputs)
        primary = settings.metric or ("map_11point" if multilabel else "acc1")
        _check_metric(primary, settings, multilabel, num_classes)
        rng = np.random.default_rng(inputs.seed)
        report = _report_multilabel if multilabel else _report
        with threads_for(inputs.images["train"].array.size * num_classes):
            probes = [
                train_probe(data, settings, primary, num_classes, inputs.device)
                for data in _training_sets(settings, inputs, labels, rng)
            ]
            return report(probes, primary, inputs.images["test"], labels["test"], rng)


def _report(
    probes: Sequence[Probe], primary: str, test: Features, labels: np.ndarray, rng: np.random.Generator
) -> Scores:
    """Means over the trials, if there are several; `prediction` is then a list, and `correct` the share of trials."""
    trials = [classification_outcomes(probe.fit.scores(test.array), labels) for probe in probes]
    metrics = classification_metrics(stacked(trials), rng, len(test.bad))
    predictions = np.stack([trial.predictions for trial in trials], axis=1)
    details = probes[0].details
    if len(trials) > 1:
        names = [metric.name for metric in metrics if metric.value is not None]
        values = {name: [classification_metric(name, trial) or 0.0 for trial in trials] for name in names}
        details = {
            "std_over_trials": {name: float(np.std(values[name], ddof=1)) for name in names},
            "trials": [
                {**probe.details, **{name: values[name][number] for name in names}}
                for number, probe in enumerate(probes)
            ],
        }
    samples = {
        "key": list(test.keys),
        "label": labels.tolist(),
        "prediction": (predictions if len(trials) > 1 else predictions[:, 0]).tolist(),
        "correct": np.mean([trial.ranks == 1 for trial in trials], axis=0).tolist(),
    }
    return Scores(metrics=metrics, primary=primary, samples=samples, details=details)


def _report_multilabel(
    probes: Sequence[Probe], primary: str, test: Features, labels: np.ndarray, rng: np.random.Generator
) -> Scores:
    """`correct` is 1 where the predicted labels, of probability over a half, are exactly the true ones."""
    (probe,) = probes
    scores = np.concatenate(list(probe.fit.scores(test.array)))
    samples = {
        "key": list(test.keys),
        "label": [np.flatnonzero(row).tolist() for row in labels],
        "prediction": [np.flatnonzero(row > 0).tolist() for row in scores],
        "correct": ((scores > 0) == labels).all(axis=1).astype(float).tolist(),
    }
    metrics = multilabel_metrics(scores, labels, rng, len(test.bad))
    return Scores(metrics=metrics, primary=primary, samples=samples, details=probe.details)


@dataclass(frozen=True)
class TrainingSet:
    """features (N, D), labels (N,) or (N, C), and their rows for the search: those to fit, those to score (or none)."""

    features: np.ndarray
    labels: np.ndarray
    fit_rows: np.ndarray
    val_rows: np.ndarray


@dataclass(frozen=True)
class Probe:
    """A trained probe, and what a reader must know of its making."""

    fit: Fit
    details: dict[str, Any]


def train_probe(data: TrainingSet, settings: LinearProbeSettings, metric: str, num_classes: int, device: str) -> Probe:
    """Search lambda with the two parts of the rows, then fit all of them.

    Raises IncompatibleError where there is nothing to tell apart, or the metric is undefined on the scored part.
    """
    from mlcd_eval.protocols.logistic import LogisticProblem, Path

    features, labels = data.features, data.labels
    _check_contrast(labels)
    lambda_, start = settings.lambda_, None
    details: dict[str, Any] = {"num_train": len(labels)}
    if lambda_ is not None:
        details["lambda_from"] = "settings"
    elif len(data.val_rows) == 0:
        lambda_, details["lambda_from"] = DEFAULT_LAMBDA, "default: no class has two train samples"
    else:
        _check_contrast(labels[data.fit_rows])
        val_features, val_labels = features[data.val_rows], labels[data.val_rows]
        problem = LogisticProblem(features[data.fit_rows], labels[data.fit_rows], num_classes, device)
        path = Path(problem, SEARCH_TOLERANCE, settings.max_iter)

        def score(fit: Fit) -> float:
            value = _metric(metric, fit.scores(val_features), val_labels)
            if value is None:
                raise IncompatibleError(
                    f"lambda cannot be chosen by {metric}: got {len(val_labels)} validation samples on which it is "
                    "undefined, expected positives and negatives among them (or set lambda_)"
                )
            return value

        best, out_of_reach = 0.0, set()

        def in_reach(fit: Fit) -> bool:
            n = len(val_labels)
            p = (best * n + 1) / (n + 2)  # so that a best of 1 has an error, too
            if score(fit) < best - OUT_OF_REACH * math.sqrt(p * (1 - p) / n):
                out_of_reach.add(fit.lambda_)
            return fit.lambda_ not in out_of_reach

        def evaluate(candidate: float) -> float:
            nonlocal best
            value = score(path.fit(candidate, in_reach))
            best = max(best, value)
            return value

        lambda_, scores = search_lambda(evaluate)
        fits = {fit.lambda_: fit for fit in path.fits}
        start = fits[lambda_].weight, fits[lambda_].bias
        details |= {
            "lambda_from": f"search by {metric} on {len(val_labels)} samples",
            "search": [
                {"lambda": tried, "score": found, "out_of_reach": tried in out_of_reach, **_convergence(fits[tried])}
                for tried, found in scores.items()
            ],
        }
        del problem, path
    fit = LogisticProblem(features, labels, num_classes, device).fit(lambda_, start, FINAL_TOLERANCE, settings.max_iter)
    details |= {"lambda": lambda_, "objective": fit.objective, "gradient_norm": fit.gradient_norm, **_convergence(fit)}
    return Probe(fit, details)


def _convergence(fit: Fit) -> dict[str, Any]:
    return {"iterations": fit.iterations, "gap": fit.gap, "converged": fit.converged}


def _training_sets(
    settings: LinearProbeSettings, inputs: Inputs, labels: Mapping[str, np.ndarray], rng: np.random.Generator
) -> Iterator[TrainingSet]:
    """One, or one a trial for few-shot."""
    features, train = inputs.images["train"].array, labels["train"]
    if settings.shots:
        for _ in range(settings.trials):
            rows = few_shot(train, settings.shots, rng)
            fit_rows, val_rows = stratified_split(train[rows], settings.val_fraction, rng)
            yield TrainingSet(features[rows], train[rows], fit_rows, val_rows)
    elif "val" in labels:
        both = np.concatenate([features, inputs.images["val"].array])
        rows = np.arange(len(both))
        yield TrainingSet(both, np.concatenate([train, labels["val"]]), rows[: len(train)], rows[len(train) :])
    else:
        yield TrainingSet(features, train, *stratified_split(train, settings.val_fraction, rng))


def _metric(name: str, scores: Iterator[np.ndarray], labels: np.ndarray) -> float | None:
    if labels.ndim == 2:
        return multilabel_metric(name, np.concatenate(list(scores)), labels)
    return classification_metric(name, classification_outcomes(scores, labels))


def _check_metric(name: str, settings: LinearProbeSettings, multilabel: bool, num_classes: int) -> None:
    if multilabel and settings.shots:
        raise IncompatibleError("shots are counted by class: got a dataset with several labels an image, expected one")
    if multilabel != (name in _MULTILABEL):
        kind, fitting = ("several labels", _MULTILABEL) if multilabel else ("one label", ("acc1",))
        raise IncompatibleError(
            f"metric {name!r} does not fit a dataset with {kind} an image, expected {' or '.join(fitting)}"
        )
    if num_classes < _LEAST_CLASSES.get(name, 0) or (name == "roc_auc" and num_classes != 2):
        expected = "2" if name == "roc_auc" else f"at least {_LEAST_CLASSES[name]}"
        raise IncompatibleError(f"metric {name!r} is undefined here: got {num_classes} classes, expected {expected}")


def _check_contrast(labels: np.ndarray) -> None:
    """There must be something to tell apart."""
    if labels.ndim == 1 and labels.min() == labels.max():
        raise IncompatibleError(
            f"linear_probe needs two classes to tell apart: got {len(labels)} train samples, all of class {labels[0]}"
        )
    if labels.ndim == 2 and (labels.min(axis=0) == labels.max(axis=0)).all():
        raise IncompatibleError(
            f"linear_probe needs a label that some images have and some lack: got none in {len(labels)} train samples"
        )
