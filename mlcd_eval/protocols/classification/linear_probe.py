"""Linear probe by CLIP's protocol (Radford et al. 2021, appendix A.3; MLCD, appendix A.1.4).

Logistic regression on frozen features as they are (not standardised, not normalised). lambda is searched on the val
split, or on a seeded stratified part of train where there is none; the best one is fitted on train and val together;
only then is the test split scored. A candidate that is far below the best while its fit is still rough is fitted no
further, and the record says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

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
from mlcd_eval.metrics.multilabel import multilabel_metrics
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.classification.labelled import checked_labels, count_classes, split_requests
from mlcd_eval.protocols.classification.probe_training import Probe, TrainingSet, train_probe
from mlcd_eval.protocols.classification.threads import threads_for

_MULTILABEL = ("map_11point", "map")
_LEAST_CLASSES = {"acc5": 5, "mean_top1_top5": 5}


class LinearProbeSettings(BaseModel):
    """metric: the primary one, which also chooses lambda; None: acc1, or map_11point where images have several labels.

    val_fraction: of train, where the dataset has no val split; lambda_: fixed, in place of the search; max_iter: most
    passes over the data a fit. shots: so many train images a class and no label besides (val is not read), as the mean
    over `trials` seeded draws; lambda is searched on val_fraction of the shots, and is 1 for one shot. Of a
    class with fewer images all are taken; `classes_with_fewer_shots` of the details counts such classes.
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
    pwc_tasks = ("Self-Supervised Image Classification",)
    pwc_num_params = True
    hub_task_type = "image-classification"
    averages_metrics = True  # as the tables of CLIP and MLCD

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the part of train that lambda is searched on, and the shots."""
        return True

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
                train_probe(data, num_classes, primary, settings.lambda_, settings.max_iter, inputs.device)
                for data in _training_sets(settings, inputs, labels, rng)
            ]
            scores = report(probes, primary, inputs.images["test"], labels["test"], rng)
        fewer = (
            int((np.bincount(labels["train"], minlength=num_classes) < settings.shots).sum()) if settings.shots else 0
        )
        return replace(scores, details={**scores.details, "classes_with_fewer_shots": fewer}) if fewer else scores


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
