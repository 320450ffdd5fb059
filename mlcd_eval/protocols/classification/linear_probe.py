"""Linear probe by CLIP's protocol (Radford et al. 2021, appendix A.3; MLCD, appendix A.1.4).

Logistic regression on frozen features, which are neither standardised nor normalised. lambda is searched on the val
split, or on a seeded stratified part of train where there is none; the best one is fitted on train and val together;
only then is the test split scored. A candidate that is far below the best while its fit is still rough is not fitted
to the end, and the record says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from mlcd_eval.data.split import few_shot, stratified_split
from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.classification import classification_samples, over_trials
from mlcd_eval.metrics.multilabel import multilabel_samples
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import CLASSIFICATION, metric_value
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.classification.labelled import (
    PrimaryMetric,
    as_lists,
    checked_labels,
    count_classes,
    measured,
    primary_metric,
    split_requests,
)
from mlcd_eval.protocols.classification.probe_training import Probe, TrainingSet, train_probe
from mlcd_eval.protocols.classification.sweep import MOST_CANDIDATES
from mlcd_eval.protocols.classification.threads import threads_for
from mlcd_eval.protocols.dialects import ProtocolSettings


class LinearProbeSettings(ProtocolSettings):
    """metric: the primary one, which also chooses lambda; None: acc1, or map_11point where images have several labels.

    val_fraction: of train, where the dataset has no val split; lambda_: fixed, in place of the search; max_iter: the
    most passes over the data in a fit. shots: the number of train images per class whose labels are used (val is not
    read); the result is the mean over `trials` seeded draws; lambda is searched on val_fraction of the shots, and is 1
    for one shot. Of a class with fewer images all are taken; the record's `classes_with_fewer_shots` counts them.
    exif: turn images as their EXIF orientation says.
    """

    layer: str = PENULTIMATE
    exif: bool = False
    metric: PrimaryMetric | None = None
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    lambda_: PositiveFloat | None = None
    max_iter: PositiveInt = 1000
    shots: PositiveInt | None = None
    trials: PositiveInt = 5


class LinearProbe(Protocol[LinearProbeSettings]):
    """Softmax regression, or one-vs-rest where images have several labels."""

    name = "linear_probe"
    version = 2
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
        optional = () if settings.shots else ("val",)
        return split_requests(self.name, settings.layer, splits, optional, settings.exif)

    def score(self, settings: LinearProbeSettings, inputs: Inputs) -> Scores:
        """A test sample whose class does not occur in train is scored, as wrong.

        Raises IncompatibleError where the metric or few-shot does not fit the labels, or train has one class only;
        DataError where a feature is not finite.
        """
        labels = {split: checked_labels(features, split) for split, features in inputs.images.items()}
        multilabel = labels["train"].ndim == 2
        num_classes = count_classes(inputs)
        if multilabel and settings.shots:
            raise IncompatibleError(
                "shots are counted by class: got a dataset with several labels per image, expected one"
            )
        primary = primary_metric(settings.metric, num_classes, multilabel)
        rng = np.random.default_rng(inputs.seed)
        fits = (settings.trials if settings.shots else 1) * (1 if settings.lambda_ else MOST_CANDIDATES + 1)
        with (
            threads_for(inputs.images["train"].array.size * num_classes),
            inputs.stage("fits of the probe", fits, "fits") as advance,
        ):
            probes = [
                train_probe(data, num_classes, primary, settings.lambda_, settings.max_iter, inputs.device, advance)
                for data in _training_sets(settings, inputs, labels, rng)
            ]
            report = _multilabel_report if multilabel else _report
            columns, details = report(probes, inputs.images["test"], labels["test"])
        if settings.shots:
            fewer = int((np.bincount(labels["train"], minlength=num_classes) < settings.shots).sum())
            details |= {"classes_with_fewer_shots": fewer} if fewer else {}
        test = inputs.images["test"]
        return Scores(
            metrics=measured(columns, num_classes, multilabel, inputs.seed, len(test.bad)),
            primary=primary,
            samples={"key": list(test.keys), **as_lists(columns)},
            details=details,
        )


def _report(probes: Sequence[Probe], test: Features, labels: np.ndarray) -> tuple[Columns, dict[str, Any]]:
    """Columns of the samples and details; over several trials there is a `prediction` and `rank` for each."""
    trials = [classification_samples(probe.fit.scores(test.array), labels) for probe in probes]
    if len(trials) == 1:
        return trials[0], dict(probes[0].details)
    num_classes = len(probes[0].fit.bias)
    names = [name for name, kind in CLASSIFICATION.items() if kind.fits(num_classes)]
    values = [{name: value for name in names if (value := metric_value(name, trial)) is not None} for trial in trials]
    return over_trials(trials), {
        "std_over_trials": {name: float(np.std([of_trial[name] for of_trial in values], ddof=1)) for name in values[0]},
        "trials": [{**probe.details, **of_trial} for probe, of_trial in zip(probes, values, strict=True)],
    }


def _multilabel_report(probes: Sequence[Probe], test: Features, labels: np.ndarray) -> tuple[Columns, dict[str, Any]]:
    """The same for several labels per image; `correct` is 1 where the predicted labels, those of probability over a
    half, are exactly the true ones."""
    (probe,) = probes
    scores = np.concatenate([part.cpu().numpy() for part in probe.fit.scores(test.array)])
    columns = multilabel_samples(scores, labels) | {
        "prediction": [np.flatnonzero(row > 0).tolist() for row in scores],
        "correct": ((scores > 0) == labels).all(axis=1) * 1.0,
    }
    return columns, dict(probe.details)


def _training_sets(
    settings: LinearProbeSettings, inputs: Inputs, labels: Mapping[str, np.ndarray], rng: np.random.Generator
) -> Iterator[TrainingSet]:
    """One set, or for few-shot one per trial."""
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
