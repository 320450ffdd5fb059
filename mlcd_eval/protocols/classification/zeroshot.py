"""Zero-shot classification with prompt ensembles (CLIP, section 3.1.4; clip-benchmark's zeroshot_classification)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlcd_eval.data.base import Kind
from mlcd_eval.data.class_names import identifiers
from mlcd_eval.data.open_set import OPEN_SET
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.languages import ACCURACIES
from mlcd_eval.metrics.multilabel import multilabel_samples
from mlcd_eval.metrics.table import GROUPED, measure
from mlcd_eval.protocols.base import NO_GROUPS, Elsewhere, Features, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.classification.by_chance import by_chance
from mlcd_eval.protocols.classification.labelled import (
    as_lists,
    checked_labels,
    measured,
    primary_metric,
)
from mlcd_eval.protocols.classification.languages import mean_of_languages
from mlcd_eval.protocols.classification.reliability import (
    HeldOut,
    measured_reliability,
    thinned,
)
from mlcd_eval.protocols.classification.zeroshot_settings import DIALECTS, FACTORS, SWEPT, ZeroShotSettings
from mlcd_eval.protocols.shared.joint import joint_embeddings
from mlcd_eval.protocols.shared.languages import MACRO
from mlcd_eval.protocols.shared.scored import vectors_of_one_split
from mlcd_eval.protocols.shared.unit import unit

if TYPE_CHECKING:
    import torch

    from mlcd_eval.support.resident import Rows


SCALE = 100.0  # of cosine similarities
HELD_OUT = ("val", "train")
"""The splits that a temperature is fitted on, the first that there is; also their roles."""
_ROWS = 1 << 13  # images whose logits are multiplied at once: another number may round a product otherwise
_MOST = 1 << 28  # logits that are held at once, fewer images where there are that many classes
_RANKED = 1 << 24  # logits that are ranked at once
_CLASSES = 1 << 10  # classes whose prompts are averaged at once


ELSEWHERE = Elsewhere(
    tasks=("Zero-Shot Transfer Image Classification",),
    metrics=(("acc1", "Accuracy (Private)"),),
    hub_task="zero-shot-image-classification",
)


class ZeroShot(Protocol[ZeroShotSettings]):
    """Each class is the mean of its prompts: logits = 100 * image . class, all of unit length."""

    name = "zeroshot"
    version = 2
    kinds = ("classification", "multilabel")
    elsewhere = ELSEWHERE
    dialects = DIALECTS
    factors = FACTORS
    swept = SWEPT
    averages_metrics = True  # as the tables of CLIP and MLCD

    def primary(self, settings: Mapping[str, Any], kind: Kind | None) -> str | None:
        """The setting `metric`, else acc1 of one label per image, or its mean over languages."""
        if settings.get("language") == MACRO:
            return next(iter(ACCURACIES))
        return settings.get("metric") or ("acc1" if kind == "classification" else None)

    def needs(self, settings: ZeroShotSettings) -> Needs:
        """Return the need for a text tower and for class names with templates."""
        return Needs(
            texts=True,
            class_prompts=True,
            class_names=settings.class_names,
            templates=settings.templates,
            language=None if settings.class_names or settings.templates else settings.language,
            translations=settings.translations,
            ood=settings.ood,
            groups=settings.metric in GROUPED,
        )

    def requests(self, settings: ZeroShotSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return one split at one layer, and what reliability is measured on. Raises IncompatibleError if the split is
        missing."""
        test = vectors_of_one_split(self.name, settings, splits)["test"]
        others = [name for name in HELD_OUT if name in splits and name != settings.split]
        fitted = settings.calibration == "fitted"
        held_out = {name: replace(test, split=name) for name in others[:1] if fitted}
        return {**held_out, **settings.reliability_requests(test), "test": test}

    def score(self, settings: ZeroShotSettings, inputs: Inputs) -> Scores:
        """Samples hold the best class, `correct` being 1.0 where it is among the labels.

        Raises IncompatibleError without class names or templates, without groups for a metric of groups, or for a
        metric that does not fit the labels; DataError for class names that do not, and for features that are not
        finite.
        """
        from mlcd_eval.support.resident import Rows

        if inputs.by_language:
            return mean_of_languages(settings, inputs, self.score)
        if inputs.classes is not None:
            known = {
                role: _of_classes(each, inputs.classes) for role, each in inputs.images.items() if role != OPEN_SET
            }
            inputs = replace(inputs, images={**inputs.images, **known})
        images = inputs.images["test"]
        if not inputs.class_names or not inputs.templates:
            raise IncompatibleError(
                "zeroshot needs class names and templates: got none, expected classnames.txt and "
                "zeroshot_classification_templates.txt in the dataset's folder, or both in the task"
            )
        labels = checked_labels(images, settings.split)
        multilabel, num_classes = labels.ndim == 2, len(inputs.class_names)
        settings.check_one_label(multilabel)
        _check_class_names(num_classes, labels)
        primary = primary_metric(settings.metric, num_classes, multilabel)
        if primary in GROUPED and not inputs.groups:
            raise IncompatibleError(f"metric {primary!r} {NO_GROUPS}")
        repeated = _repeated(inputs.class_names)
        _warn_of_names(inputs.class_names, repeated)
        prompts = [tuple(template.replace("{c}", name) for template in inputs.templates) for name in inputs.class_names]
        column = {of_class: number for number, of_class in enumerate(dict.fromkeys(prompts))}
        by_template = [prompt for of_template in zip(*column, strict=True) for prompt in of_template]
        image, text = joint_embeddings(images, by_template, inputs)
        classes = _class_vectors(text, len(inputs.templates))
        of_class = [column[each] for each in prompts]
        columns = _columns(_logits(image, classes, of_class), labels)

        def logits_of(features: Features) -> Iterator[torch.Tensor]:
            return _logits(Rows(features.array, inputs.device, unit), classes, of_class)

        more = measured_reliability(settings, inputs, columns, logits_of, _held_out(inputs, logits_of), SCALE)
        metrics = [*measured(columns, num_classes, multilabel, inputs.seed, len(images.bad)), *more.metrics]
        if primary not in [metric.name for metric in metrics]:
            metrics.append(measure(primary, {**columns, **more.samples}, inputs.seed, len(images.bad)))
        return Scores(
            metrics=metrics,
            primary=primary,
            samples={"key": list(images.keys), **as_lists(columns), **more.samples},
            details={
                "prompts": inputs.prompts_source,
                "num_classes": num_classes,
                "num_templates": len(inputs.templates),
                **({} if inputs.classes is None else {"num_images": len(labels)}),
                **({"repeated_class_names": repeated} if repeated else {}),
                **by_chance(primary, labels, num_classes, inputs.seed, more.samples.get("group", ())),
                **more.details,
            },
        )


def _warn_of_names(class_names: Sequence[str], repeated: Mapping[str, Sequence[int]]) -> None:
    """Warn of class names that are no words, and of those that occur more than once."""
    unnamed = identifiers(class_names)
    if unnamed:
        warnings.warn(
            f"class names that no caption would use: got {len(unnamed)} numbers or WordNet ids, first "
            f"{unnamed[0]!r}; expected words, in classnames.txt of the data set or by --classnames FILE",
            stacklevel=3,
        )
    if repeated:
        warnings.warn(f"class names that occur more than once (name: classes): {repeated}", stacklevel=3)


def _columns(logits: Iterator[torch.Tensor], labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of samples; with several labels the best class is `correct` where it is one of them."""
    if labels.ndim == 1:
        return classification_samples(logits, labels)
    scores = np.concatenate([part.cpu().numpy() for part in logits])
    best = scores.argmax(axis=1)
    correct = (labels[np.arange(len(labels)), best] == 1) * 1.0
    return multilabel_samples(scores, labels) | {"prediction": best, "correct": correct}


def _of_classes(images: Features, classes: Sequence[int]) -> Features:
    """Return the images of some classes, each labelled by the place of its class among them."""
    assert images.labels is not None and images.labels.ndim == 1, "ImageNet has one label per image"
    rows = np.flatnonzero(np.isin(images.labels, classes))
    labels = np.searchsorted(classes, images.labels[rows])
    return replace(images, array=images.array[rows], keys=[images.keys[row] for row in rows], labels=labels)


def class_vectors(prompts: torch.Tensor, num_templates: int) -> torch.Tensor:
    """Return unit rows of classes (C, D) from unit rows of prompts (templates * classes, D), template by template."""
    import torch

    return torch.nn.functional.normalize(prompts.unflatten(0, (num_templates, -1)).mean(dim=0), dim=1)


def _class_vectors(text: Rows, num_templates: int) -> torch.Tensor:
    """Return `class_vectors` of all prompts, holding those of some classes at a time."""
    import torch

    number = np.arange(len(text)).reshape(num_templates, -1)
    parts = range(0, number.shape[1], _CLASSES)
    return torch.cat([class_vectors(text[number[:, i : i + _CLASSES].ravel()], num_templates) for i in parts])


def _logits(image: Rows, classes: torch.Tensor, column: Sequence[int]) -> Iterator[torch.Tensor]:
    """Yield the logits of unit rows (N, D) and (C, D) in chunks (B, len(column)). Classes with equal prompts share a
    column, because columns that are computed twice could differ by rounding, and ties must stay ties."""
    import torch

    columns = torch.tensor(column, device=image.device)
    size = max(1, min(_ROWS, _MOST // len(classes)))
    products = torch.empty(min(size, len(image)), len(classes), dtype=classes.dtype, device=image.device)
    for rows in image.chunks(size):
        logits = torch.matmul(SCALE * rows, classes.T, out=products[: len(rows)])
        for part in logits.split(max(1, _RANKED // len(column))):
            yield part.index_select(1, columns)


def _held_out(inputs: Inputs, logits_of: Callable[[Features], Iterator[torch.Tensor]]) -> HeldOut | None:
    """Return the logits of images that a temperature is fitted on."""
    import torch

    role = next((name for name in HELD_OUT if name in inputs.images), None)
    if role is None:
        return None
    features = inputs.images[role]
    labels = checked_labels(features, role)
    rows = thinned(np.arange(len(labels)), len(inputs.class_names or ()))
    chosen = replace(features, array=features.array[rows])
    return HeldOut(torch.cat(list(logits_of(chosen))), labels[rows], f"{len(rows)} samples of {role}")


def _check_class_names(num_names: int, labels: np.ndarray) -> None:
    """Raise DataError unless names fit the labels. A split may lack some of the classes, but not multilabel columns."""
    expected = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    if num_names < expected or (labels.ndim == 2 and num_names != expected):
        raise DataError(
            f"class names do not fit the labels: got {num_names} names, "
            f"expected {expected if labels.ndim == 2 else f'at least {expected}'}"
        )


def _repeated(names: Sequence[str]) -> dict[str, list[int]]:
    """Return name -> its classes, for names of several classes, whose images cannot be distinguished."""
    classes: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        classes.setdefault(name, []).append(index)
    return {name: indices for name, indices in classes.items() if len(indices) > 1}
