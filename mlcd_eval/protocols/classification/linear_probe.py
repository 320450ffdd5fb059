"""Linear probe by CLIP's protocol (Radford et al. 2021, appendix A.3; MLCD, appendix A.1.4), or in other dialects.

Logistic regression on frozen features, which are neither standardised nor, by default, normalised. lambda is searched
on the val split where there is one, else by cross-validation of train (cross_validation.py) or, where train is large or
with `selection=holdout`, on a seeded stratified part of it; the best one is fitted on train and val together; only then
is the test split scored. A candidate that is far behind the best while its fit is still rough is not fitted to the end,
and the record says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcd_eval.data.base import Kind
from mlcd_eval.encoders.base import PENULTIMATE, EncoderInfo
from mlcd_eval.encoders.layers import BLOCKS
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.table import measure, metric_value
from mlcd_eval.protocols.base import Control, Elsewhere, Features, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.classification.adamw_probe import train_adamw
from mlcd_eval.protocols.classification.by_chance import by_chance
from mlcd_eval.protocols.classification.controls import label_controls
from mlcd_eval.protocols.classification.labelled import (
    as_lists,
    checked_labels,
    count_classes,
    measured,
    primary_metric,
    split_requests,
)
from mlcd_eval.protocols.classification.layer_roles import split_roles, with_layers
from mlcd_eval.protocols.classification.layer_search import (
    Layer,
    at_layer,
    best_layer,
    layers_of,
)
from mlcd_eval.protocols.classification.probe_report import report_of
from mlcd_eval.protocols.classification.probe_rows import (
    cut_features,
    inputs_at,
    normalised,
    prepare_of,
    training_sets,
)
from mlcd_eval.protocols.classification.probe_settings import DIALECTS, FACTORS, SWEPT, LinearProbeSettings
from mlcd_eval.protocols.classification.probe_training import SEARCH_TOLERANCE, Probe, TrainingSet, train_probe
from mlcd_eval.protocols.classification.reliability import measured_reliability
from mlcd_eval.protocols.classification.reliability_settings import learned_from
from mlcd_eval.protocols.classification.selections import with_selections
from mlcd_eval.protocols.classification.sgd_probe import SGDSettings, search_sgd, trained_sgd
from mlcd_eval.protocols.classification.sweep import Sweep, lambda_of_c, sweep_of
from mlcd_eval.protocols.classification.threads import threads_for, workers_for
from mlcd_eval.protocols.shared.embedding import beside_full_precision, check_dimensions
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from torch import Tensor


CONTROL_STEPS = 1000  # of SGD


ELSEWHERE = Elsewhere(tasks=("Self-Supervised Image Classification",), num_params=True, hub_task="image-classification")


class LinearProbe(Protocol[LinearProbeSettings]):
    """Softmax regression, or one-vs-rest where images have several labels."""

    name = "linear_probe"
    version = 3
    kinds = ("classification", "multilabel")
    elsewhere = ELSEWHERE
    averages_metrics = True  # as the tables of CLIP and MLCD
    dialects = DIALECTS
    factors = FACTORS
    swept = SWEPT

    def primary(self, settings: Mapping[str, Any], kind: Kind | None) -> str | None:
        """The setting `metric`, else acc1 of one label per image."""
        return settings.get("metric") or ("acc1" if kind == "classification" else None)

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the shots, the part or folds of train that lambda is searched on and AdamW's batches, but for the
        draws of sources that have a seed of their own."""
        if settings.get("adamw") or settings.get("sgd"):
            return True
        if settings.get("shots"):
            fixed = settings.get("lambda_") or settings.get("c")
            return not (fixed and settings.get("draw") == "mteb")
        return settings.get("hold_out", "stratified") == "stratified" and settings.get("examples") != "vtab1k"

    def needs(self, settings: LinearProbeSettings) -> Needs:
        """Return the need for the images of another data set, if they are asked for."""
        return Needs(ood=settings.ood)

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
        if settings.layers is not None:
            layer, others = BLOCKS, [PENULTIMATE]
        elif settings.sgd is not None:
            layer, *others = settings.sgd.layers
        else:
            layer, others = settings.layer, []
        requests = split_requests(self.name, layer, splits, optional, settings.exif)
        return with_layers(settings.reliability_requests(requests["test"]) | requests, others)

    def for_model(self, settings: LinearProbeSettings, info: EncoderInfo) -> LinearProbeSettings:
        """Raise IncompatibleError for a model of fewer dimensions than are to be kept."""
        check_dimensions(settings.embedding, settings.layer, info)
        return settings

    def score(self, settings: LinearProbeSettings, inputs: Inputs) -> Scores:
        """A test sample whose class does not occur in train is scored, as wrong.

        Raises IncompatibleError where the metric, few-shot or AdamW does not fit the labels, or train has one class
        only; DataError where a feature is not finite.
        """
        if settings.layers is not None:
            return self._at_best_layer(settings, inputs)
        if settings.sgd is not None and settings.sgd.candidates > 1:
            return self._by_sgd(settings, settings.sgd, inputs)
        return beside_full_precision(self._score, settings, inputs, inputs.images["test"])

    def _score(self, settings: LinearProbeSettings, inputs: Inputs) -> Scores:
        from mlcd_eval.support.resident import Rows

        everything = cut_features(settings, inputs)
        inputs = learned_from(everything)
        labels = {split: checked_labels(features, split) for split, features in inputs.images.items()}
        multilabel = labels["train"].ndim == 2
        num_classes = count_classes(inputs)
        for given, what in ((settings.shots, "shots are counted by class"), (settings.adamw, "AdamW trains a softmax")):
            if multilabel and given:
                raise IncompatibleError(f"{what}: got a dataset with several labels per image, expected one")
        settings.check_one_label(multilabel)
        primary = primary_metric(settings.metric, num_classes, multilabel)
        binary = not multilabel and len(np.unique(labels["train"])) == 2
        sweep = sweep_of(settings.sweep, binary)
        trials = settings.trials if settings.shots else 1
        trainings = settings.adamw.trainings if settings.adamw else sweep.most + 1 if settings.searches else 1
        test, report = inputs.images["test"], report_of(multilabel)
        with (
            threads_for(inputs.images["train"].array.size * num_classes),
            inputs.stage("fits of the probe", trials * trainings, "fits") as advance,
        ):
            probes = [
                _trained(settings, data, num_classes, primary, sweep, inputs.seed + trial, inputs.device, advance)
                for trial, data in enumerate(training_sets(settings, inputs, labels))
            ]
            rows = Rows(test.array, inputs.device, prepare_of(settings, inputs))
            columns, details = report(probes, rows, labels["test"], settings.also)
            selections = [
                (lambda_, count, report([Probe(fit, {})], rows, labels["test"], ())[0])
                for lambda_, (fit, count) in probes[0].selections.items()
            ]
        if settings.shots:
            fewer = int((np.bincount(labels["train"], minlength=num_classes) < settings.shots).sum())
            if fewer:
                details["classes_with_fewer_shots"] = fewer
                warnings.warn(
                    f"shots={settings.shots}: {fewer} of {num_classes} classes have fewer train images, of which all "
                    f"are taken",
                    stacklevel=2,
                )
        metrics = measured(columns, num_classes, multilabel, inputs.seed, len(test.bad))
        also = [measure(name, columns, inputs.seed, len(test.bad), defined=not multilabel) for name in settings.also]
        metrics = [*metrics, *also]
        if selections:
            metrics, spread = with_selections(metrics, selections)
            details |= spread

        def logits_of(images: Features) -> Iterator[Tensor]:
            return probes[0].fit.scores(Rows(images.array, inputs.device, prepare_of(settings, inputs)))

        more = measured_reliability(settings, everything, columns, logits_of, probes[0].held_out)
        return Scores(
            metrics=[*metrics, *more.metrics],
            primary=primary,
            samples={"key": list(test.keys), **as_lists(columns), **more.samples},
            details=details | by_chance(primary, labels["test"], num_classes, inputs.seed) | more.details,
        )

    def controls(self, settings: LinearProbeSettings, inputs: Inputs) -> list[Control]:
        """Of one draw or search, at one layer, by the default metric; of SGD with the largest rate, few steps."""
        sgd = settings.sgd
        if sgd is not None:
            sgd = sgd.only(sgd.layers[0], max(sgd.learning_rates))
            sgd = sgd.model_copy(update={"iterations": min(sgd.iterations, CONTROL_STEPS)})
        changes = {"layers": None, "metric": None, "also": (), "trials": 1, "embedding": None, "sgd": sgd}
        return label_controls(self, settings.model_copy(update=changes), inputs)

    def _at_best_layer(self, settings: LinearProbeSettings, inputs: Inputs) -> Scores:
        """Choose a layer on held-out rows of train, and score a probe of it as of any layer."""
        from mlcd_eval.support.resident import Rows

        everything, inputs = inputs, learned_from(inputs)
        labels = {split: checked_labels(inputs.images[split], split) for split in split_roles(inputs.images)}
        multilabel, num_classes = labels["train"].ndim == 2, count_classes(inputs)
        metric = primary_metric(settings.metric, num_classes, multilabel)
        sweep = sweep_of(settings.sweep, binary=not multilabel and len(np.unique(labels["train"])) == 2)
        report = report_of(multilabel)
        layers = layers_of(inputs.images["train"].array)
        held_out = settings.model_copy(update={"selection": "holdout"})

        def data_at(layer: Layer) -> TrainingSet:
            (data,) = training_sets(held_out, at_layer(inputs, layer, without="test"), labels)
            return data

        def train(data: TrainingSet) -> Probe:
            changed = settings.model_copy(update={"tolerance": SEARCH_TOLERANCE})
            return _trained(changed, data, num_classes, metric, sweep, inputs.seed, inputs.device, all_rows=False)

        def score(probe: Probe, features: np.ndarray, of_rows: np.ndarray) -> Metric:
            columns, _ = report([probe], Rows(features, inputs.device, normalised(settings)), of_rows, ())
            return measure(metric, columns, inputs.seed)

        with inputs.stage("layers", len(layers), "layers") as advance:
            workers = workers_for(inputs.images["train"].array[:, 0, 0].size, inputs.device)
            layer, curve, num_scored = best_layer(layers, data_at, train, score, advance, workers)
        chosen = self.score(settings.model_copy(update={"layers": None}), at_layer(everything, layer))
        found = {"layer": layer.name, "layer_from": f"search by {metric} on {num_scored} samples"}
        return replace(chosen, details={**chosen.details, **found, "layers": curve})

    def _by_sgd(self, settings: LinearProbeSettings, sgd: SGDSettings, inputs: Inputs) -> Scores:
        """Choose a layer and a learning rate on held-out rows, and score the probe of them."""
        from mlcd_eval.support.resident import Rows

        everything, inputs = inputs, learned_from(inputs)
        labels = {split: checked_labels(inputs.images[split], split) for split in split_roles(inputs.images)}
        multilabel, num_classes = labels["train"].ndim == 2, count_classes(inputs)
        metric = primary_metric(settings.metric, num_classes, multilabel)
        report = report_of(multilabel)
        held_out = settings.model_copy(update={"selection": "holdout"})

        def data_at(layer: str) -> TrainingSet:
            (data,) = training_sets(held_out, inputs_at(inputs, layer, without="test"), labels)
            return data

        def score(probe: Probe, features: np.ndarray, of_rows: np.ndarray) -> float | None:
            columns, _ = report([probe], Rows(features, inputs.device, normalised(settings)), of_rows, ())
            return metric_value(metric, columns)

        with inputs.stage("steps of SGD", sgd.iterations * len(sgd.layers), "steps") as advance:
            best, search, num_scored = search_sgd(sgd, data_at, score, num_classes, inputs.seed, inputs.device, advance)
        chosen = self.score(settings.model_copy(update={"sgd": best}), inputs_at(everything, best.layers[0]))
        found = {"chosen_from": f"search by {metric} on {num_scored} samples", "search": search}
        return replace(chosen, details={**chosen.details, **found})


def _trained(
    settings: LinearProbeSettings,
    data: TrainingSet,
    num_classes: int,
    metric: str,
    sweep: Sweep,
    seed: int,
    device: str,
    advance: Advance = lambda _: None,
    all_rows: bool = True,
) -> Probe:
    if settings.sgd is not None:
        return trained_sgd(data, num_classes, settings.sgd, seed, device, advance)
    if settings.adamw is not None:
        return train_adamw(data, num_classes, settings.adamw, seed, device, settings.shots is None, advance)
    lambda_ = settings.lambda_
    if settings.c is not None:
        lambda_ = lambda_of_c(settings.c, binary=data.labels.ndim == 1 and len(np.unique(data.labels)) == 2)
    return train_probe(
        data,
        num_classes,
        metric,
        sweep,
        lambda_,
        settings.max_iter,
        settings.tolerance,
        device,
        advance,
        seed,
        all_rows,
    )
