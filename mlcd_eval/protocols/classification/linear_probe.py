"""Linear probe by CLIP's protocol (Radford et al. 2021, appendix A.3; MLCD, appendix A.1.4), or in other dialects.

Logistic regression on frozen features, which are neither standardised nor, by default, normalised. lambda is searched
on the val split where there is one, else on a seeded stratified part of train or, with `selection=cross_validation`,
by cross-validation of it where it is small (cross_validation.py); the best one is fitted on train and val together;
only then is the test split scored. A candidate that is far behind the best while its fit is still rough, or on the
first folds, is not fitted to the end, and the record says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcd_eval.data.split import stratified_folds
from mlcd_eval.encoders.layers import BLOCKS
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.classification import classification_samples, over_trials
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import CLASSIFICATION, measure, metric_value
from mlcd_eval.protocols.base import Control, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.classification.adamw_probe import train_adamw
from mlcd_eval.protocols.classification.controls import label_controls
from mlcd_eval.protocols.classification.cross_validation import FOLDS, TOO_MANY
from mlcd_eval.protocols.classification.draws import DRAWS, HOLD_OUTS
from mlcd_eval.protocols.classification.labelled import (
    as_lists,
    checked_labels,
    columns_of,
    count_classes,
    measured,
    primary_metric,
    split_requests,
    train_and_val,
)
from mlcd_eval.protocols.classification.layer_search import at_layer, best_layer, layers_of
from mlcd_eval.protocols.classification.probe_settings import DIALECTS, FACTORS, LinearProbeSettings
from mlcd_eval.protocols.classification.probe_training import SEARCH_TOLERANCE, Probe, TrainingSet, train_probe
from mlcd_eval.protocols.classification.selections import with_selections
from mlcd_eval.protocols.classification.sweep import Sweep, lambda_of_c, sweep_of
from mlcd_eval.protocols.classification.threads import threads_for
from mlcd_eval.protocols.shared.unit import unit
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from torch import Tensor

    from mlcd_eval.support.resident import Rows


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
    dialects = DIALECTS
    factors = FACTORS

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the shots, the part or folds of train that lambda is searched on and AdamW's batches, but for the
        draws of sources that have a seed of their own."""
        if settings.get("adamw"):
            return True
        if settings.get("shots"):
            fixed = settings.get("lambda_") or settings.get("c")
            return not (fixed and settings.get("draw") == "mteb")
        return settings.get("hold_out", "stratified") == "stratified"

    def requests(self, settings: LinearProbeSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """train, test, and val where there is one (except for few-shot). AdamW reads val only to search on it; raises
        IncompatibleError if it is missing then."""
        reads_val = not settings.shots
        if settings.adamw is not None:
            reads_val = settings.adamw.weight_decay is None
            if reads_val and "val" not in splits:
                raise IncompatibleError(
                    f"a weight decay is searched on the val split: got the splits {', '.join(splits)}, expected val "
                    "too (or set adamw's weight_decay)"
                )
        optional = ("val",) if reads_val else ()
        layer = settings.layer if settings.layers is None else BLOCKS
        return split_requests(self.name, layer, splits, optional, settings.exif)

    def score(self, settings: LinearProbeSettings, inputs: Inputs) -> Scores:
        """A test sample whose class does not occur in train is scored, as wrong.

        Raises IncompatibleError where the metric, few-shot or AdamW does not fit the labels, or train has one class
        only; DataError where a feature is not finite.
        """
        from mlcd_eval.support.resident import Rows

        if settings.layers is not None:
            return self._at_best_layer(settings, inputs)
        labels = {split: checked_labels(features, split) for split, features in inputs.images.items()}
        multilabel = labels["train"].ndim == 2
        num_classes = count_classes(inputs)
        for given, what in ((settings.shots, "shots are counted by class"), (settings.adamw, "AdamW trains a softmax")):
            if multilabel and given:
                raise IncompatibleError(f"{what}: got a dataset with several labels per image, expected one")
        primary = primary_metric(settings.metric, num_classes, multilabel)
        binary = not multilabel and len(np.unique(labels["train"])) == 2
        sweep = sweep_of(settings.sweep, binary)
        trials = settings.trials if settings.shots else 1
        trainings = settings.adamw.trainings if settings.adamw else sweep.most + 1 if settings.searches else 1
        test, report = inputs.images["test"], _multilabel_report if multilabel else _report
        with (
            threads_for(inputs.images["train"].array.size * num_classes),
            inputs.stage("fits of the probe", trials * trainings, "fits") as advance,
        ):
            probes = [
                _trained(settings, data, num_classes, primary, sweep, inputs.seed + trial, inputs.device, advance)
                for trial, data in enumerate(_training_sets(settings, inputs, labels))
            ]
            rows = Rows(test.array, inputs.device, _prepare(settings))
            columns, details = report(probes, rows, labels["test"], settings.also)
            selections = [
                (lambda_, count, report([Probe(fit, {})], rows, labels["test"], ())[0])
                for lambda_, (fit, count) in (probes[0].selections if len(probes) == 1 else {}).items()
            ]
        if settings.shots:
            fewer = int((np.bincount(labels["train"], minlength=num_classes) < settings.shots).sum())
            details |= {"classes_with_fewer_shots": fewer} if fewer else {}
        metrics = measured(columns, num_classes, multilabel, inputs.seed, len(test.bad))
        also = [measure(name, columns, inputs.seed, len(test.bad), defined=not multilabel) for name in settings.also]
        metrics = [*metrics, *also]
        if selections:
            metrics, spread = with_selections(metrics, selections)
            details |= spread
        return Scores(
            metrics=metrics,
            primary=primary,
            samples={"key": list(test.keys), **as_lists(columns)},
            details=details,
        )

    def controls(self, settings: LinearProbeSettings, inputs: Inputs) -> list[Control]:
        """Of one draw or search, at one layer, by the default metric."""
        changes = {"layers": None, "metric": None, "also": (), "trials": 1}
        return label_controls(self, settings.model_copy(update=changes), inputs)

    def _at_best_layer(self, settings: LinearProbeSettings, inputs: Inputs) -> Scores:
        """Choose a layer on held-out rows of train, and score a probe of it as of any layer."""
        from mlcd_eval.support.resident import Rows

        labels = {split: checked_labels(features, split) for split, features in inputs.images.items()}
        multilabel, num_classes = labels["train"].ndim == 2, count_classes(inputs)
        metric = primary_metric(settings.metric, num_classes, multilabel)
        sweep = sweep_of(settings.sweep, binary=not multilabel and len(np.unique(labels["train"])) == 2)
        report = _multilabel_report if multilabel else _report
        (data,) = _training_sets(settings, inputs, labels)

        def train(rows: TrainingSet, lambda_: float | None) -> Probe:
            changed = settings.model_copy(update={"tolerance": SEARCH_TOLERANCE})
            changed = changed if lambda_ is None else changed.model_copy(update={"lambda_": lambda_, "c": None})
            return _trained(changed, rows, num_classes, metric, sweep, inputs.seed, inputs.device, lambda _: None)

        def score(probe: Probe, features: np.ndarray, of_rows: np.ndarray) -> Metric:
            columns, _ = report([probe], Rows(features, inputs.device, data.prepare), of_rows, ())
            return measure(metric, columns, inputs.seed)

        layers = layers_of(data.features)
        with (
            threads_for(data.features[:, 0, 0].size * num_classes),
            inputs.stage("layers", len(layers), "layers") as advance,
        ):
            layer, curve = best_layer(layers, data, train, score, advance)
        chosen = self.score(settings.model_copy(update={"layers": None}), at_layer(inputs, layer))
        found = {"layer": layer.name, "layer_from": f"search by {metric} on {len(data.val_rows)} samples"}
        return replace(chosen, details={**chosen.details, **found, "layers": curve})


def _prepare(settings: LinearProbeSettings) -> Callable[[Tensor], Tensor]:
    return unit if settings.normalise else lambda rows: rows


def _trained(
    settings: LinearProbeSettings,
    data: TrainingSet,
    num_classes: int,
    metric: str,
    sweep: Sweep,
    seed: int,
    device: str,
    advance: Advance,
) -> Probe:
    if settings.adamw is not None:
        return train_adamw(data, num_classes, settings.adamw, seed, device, settings.shots is None, advance)
    lambda_ = settings.lambda_
    if settings.c is not None:
        lambda_ = lambda_of_c(settings.c, binary=data.labels.ndim == 1 and len(np.unique(data.labels)) == 2)
    return train_probe(
        data, num_classes, metric, sweep, lambda_, settings.max_iter, settings.tolerance, device, advance, seed
    )


def _report(
    probes: Sequence[Probe], test: Rows, labels: np.ndarray, also: Sequence[str]
) -> tuple[Columns, dict[str, Any]]:
    """Columns of the samples and details; over several trials there is a `prediction` and `rank` for each."""
    trials = [classification_samples(probe.fit.scores(test), labels) for probe in probes]
    if len(trials) == 1:
        return trials[0], dict(probes[0].details)
    num_classes = len(probes[0].fit.bias)
    names = [*(name for name, kind in CLASSIFICATION.items() if kind.fits(num_classes)), *also]
    values = [{name: value for name in names if (value := metric_value(name, trial)) is not None} for trial in trials]
    return over_trials(trials), {
        "std_over_trials": {name: float(np.std([of_trial[name] for of_trial in values], ddof=1)) for name in values[0]},
        "trials": [{**probe.details, **of_trial} for probe, of_trial in zip(probes, values, strict=True)],
    }


def _multilabel_report(
    probes: Sequence[Probe], test: Rows, labels: np.ndarray, also: Sequence[str]
) -> tuple[Columns, dict[str, Any]]:
    """The same for several labels per image."""
    (probe,) = probes
    return columns_of(probe.fit.scores(test), labels), dict(probe.details)


def _training_sets(
    settings: LinearProbeSettings, inputs: Inputs, labels: Mapping[str, np.ndarray]
) -> Iterator[TrainingSet]:
    """One set, or for few-shot one per trial. A val split that is read comes after the rows of train."""
    rng = np.random.default_rng(inputs.seed)
    features, train = inputs.images["train"].array, labels["train"]
    in_order = settings.draw == "stratified" and not settings.shots
    trials = settings.trials if settings.shots else 1
    prepare = _prepare(settings)
    for rows in DRAWS[settings.draw](train, settings.shots, trials, rng, inputs.seed):
        array, of_rows = (features, train) if in_order else (features[rows], train[rows])
        if "val" in labels:
            yield TrainingSet(
                *train_and_val(array, of_rows, inputs.images["val"].array, labels["val"]), prepare=prepare
            )
        elif settings.searches and settings.selection == "cross_validation" and len(of_rows) < TOO_MANY:
            folds = stratified_folds(of_rows, FOLDS, rng)
            yield TrainingSet(array, of_rows, np.arange(len(of_rows)), np.arange(0), folds, prepare)
        else:
            held_out = HOLD_OUTS[settings.hold_out](of_rows, settings.val_fraction, rng)
            yield TrainingSet(array, of_rows, *held_out, prepare=prepare)
