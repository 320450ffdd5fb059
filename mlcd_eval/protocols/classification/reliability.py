"""How far the predictions of a classifier can be relied on: what zero-shot and the probes report beside accuracy.

Everything follows from the logits of images, so that a protocol hands over one function that computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from mlcd_eval.data.alterations.names import ALL, corruptions_of, in_short, severities, small_changes
from mlcd_eval.data.open_set import OPEN_SET
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.calibration import calibration_samples, reliability
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.corruption import CORRECT
from mlcd_eval.metrics.open_set import open_set_scores
from mlcd_eval.metrics.reliability import CALIBRATION, CORRUPTED, GROUPS, SCALED
from mlcd_eval.metrics.reliability import OPEN_SET as OPEN_SET_METRICS
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs
from mlcd_eval.protocols.classification.temperature import fit_temperature
from mlcd_eval.protocols.dialects import ProtocolSettings
from mlcd_eval.protocols.shared.finite import check_finite

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "val", "test")
"""The roles of images that a protocol learns from or scores."""
MOST = 1 << 24  # held-out logits that a temperature is fitted on: 16,777 images of 1,000 classes

Logits = Callable[[Features], "Iterator[Tensor]"]
"""Features of images -> their logits, in order, in chunks (B, C)."""


def _corruptions(value: Any) -> tuple[str, ...]:
    """Return a setting's words in the one form that means these corruptions."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError("expected all, or a list of corruptions such as [fog, snow/3]")
    return in_short(corruptions_of(words))


class ReliabilitySettings(ProtocolSettings):
    """calibration: report ECE, Brier score, NLL and AURC; `fitted` also after division of the logits by a temperature
    that is fitted on selection data. ood: report how well the logits tell the images of another data set from those of
    the test split; its reference, or the name of a known one. corruptions: report the accuracy under ImageNet-C's
    corruptions of the test images, `all` or a list such as [fog, snow/3]. stability: report how many predictions small
    changes of the images leave as they are."""

    calibration: Literal["raw", "fitted"] | None = None
    ood: str | None = None
    corruptions: Annotated[tuple[str, ...], BeforeValidator(_corruptions)] = ()
    stability: bool = False

    def reliability_given(self) -> list[str]:
        """The settings of this class that are set."""
        return [name for name in ReliabilitySettings.model_fields if name != "dialect" and getattr(self, name)]

    def check_one_label(self, multilabel: bool) -> None:
        """Raise IncompatibleError where images have several labels."""
        if multilabel and self.reliability_given():
            raise IncompatibleError(
                f"{' and '.join(self.reliability_given())}: got a dataset with several labels per image, expected one"
            )

    def reliability_requests(self, test: ImageRequest) -> dict[str, ImageRequest]:
        """Return role -> images that are looked at beside those of a protocol without these settings."""
        open_set = {OPEN_SET: replace(test, split=OPEN_SET)} if self.ood else {}
        return {**open_set, **{name: replace(test, alteration=name) for name in self.alterations}}

    @property
    def alterations(self) -> list[str]:
        """The names of what is done to the test images."""
        return [*corruptions_of(self.corruptions), *(small_changes() if self.stability else ())]


def learned_from(inputs: Inputs) -> Inputs:
    """Return the inputs without images that only reliability is measured on."""
    return replace(inputs, images={role: each for role, each in inputs.images.items() if role in SPLITS})


@dataclass(frozen=True)
class HeldOut:
    """Logits (K, C) of labelled images (K,) that the classifier did not learn from. source: which, in words."""

    logits: Tensor
    labels: np.ndarray
    source: str


def thinned(rows: np.ndarray, num_classes: int) -> np.ndarray:
    """Return evenly spaced ones of the rows, so few that a temperature is fitted on at most MOST logits."""
    return rows[:: max(1, -(-len(rows) * num_classes // MOST))]


@dataclass(frozen=True)
class Reliability:
    """What is added to a protocol's scores."""

    metrics: list[Metric] = field(default_factory=list)
    samples: dict[str, list[Any]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def measured_reliability(
    settings: ReliabilitySettings,
    inputs: Inputs,
    columns: Columns,
    logits: Logits,
    held_out: HeldOut | None,
    cosine_scale: float | None = None,
) -> Reliability:
    """Return what the settings ask for.

    columns: those of the test samples that accuracy is measured by. held_out: None where no image was held out.
    cosine_scale: what logits are divided by to be cosine similarities, None for other logits.
    """
    found = Reliability()
    if settings.calibration is not None:
        _add_calibration(found, settings.calibration, inputs, columns, logits, held_out)
    if settings.ood is not None:
        _add_open_set(found, inputs, logits, cosine_scale)
    if settings.alterations:
        _add_altered(found, settings, inputs, columns, logits)
    if inputs.groups:
        _add_groups(found, inputs, columns)
    return found


def _add_calibration(
    found: Reliability,
    wanted: Literal["raw", "fitted"],
    inputs: Inputs,
    columns: Columns,
    logits: Logits,
    held_out: HeldOut | None,
) -> None:
    test = inputs.images["test"]
    labels, correct = np.asarray(columns["label"]), np.asarray(columns["correct"])
    temperatures: dict[str, float | None] = {"": 1.0}
    if wanted == "fitted":
        temperatures[SCALED] = None if held_out is None else _temperature(held_out)
        source = "none: no image is held out" if held_out is None else held_out.source
        found.details.update(temperature=temperatures[SCALED], temperature_from=source)
    diagrams = found.details["reliability"] = {}
    for suffix, temperature in temperatures.items():
        of_samples: Mapping[str, np.ndarray] = {}
        if temperature is not None:
            of_samples = calibration_samples(logits(test), labels, temperature)
            diagrams["fitted" if suffix else "raw"] = reliability(of_samples["confidence"], correct)
        named = {f"{name}{suffix}": values for name, values in of_samples.items() if np.isfinite(values).all()}
        found.samples.update({name: values.tolist() for name, values in named.items()})
        every = {"correct": correct, **named}
        for name in _of_suffix(suffix):
            defined = temperature is not None and (not name.startswith("nll") or f"log_loss{suffix}" in named)
            found.metrics.append(measure(name, every, inputs.seed, len(test.bad), defined=defined))


def _of_suffix(suffix: str) -> list[str]:
    return [name for name in CALIBRATION if name.endswith(SCALED) == bool(suffix)]


def _temperature(held_out: HeldOut) -> float | None:
    """Return the fitted temperature, None where no held-out image's class has a finite logit."""
    import torch

    logits = held_out.logits.double()
    labels = torch.as_tensor(held_out.labels, device=logits.device)
    possible = logits.gather(1, labels[:, None])[:, 0].isfinite()
    if not possible.any():
        return None
    return fit_temperature(logits[possible].clamp(min=-1e30), labels[possible])


def _add_open_set(found: Reliability, inputs: Inputs, logits: Logits, cosine_scale: float | None) -> None:
    test, others = inputs.images["test"], inputs.images[OPEN_SET]
    check_finite(others.array, "features of the open set", others.keys)
    inside, outside = (open_set_scores(logits(images), cosine_scale) for images in (test, others))
    known = np.repeat([1, 0], [len(test.keys), len(others.keys)])
    columns = {"known": known, **{name: np.concatenate([inside[name], outside[name]]) for name in inside}}
    names = [name for name in OPEN_SET_METRICS if name.split("_", 2)[2] in inside]
    bad = len(test.bad) + len(others.bad)
    found.metrics.extend(measure(name, columns, inputs.seed, bad) for name in names)


def _add_altered(
    found: Reliability, settings: ReliabilitySettings, inputs: Inputs, columns: Columns, logits: Logits
) -> None:
    """Raises DataError where an image cannot be altered."""
    test = inputs.images["test"]
    labels, before = np.asarray(columns["label"]), np.asarray(columns["prediction"])
    correct: dict[str, np.ndarray] = {}
    same: dict[str, np.ndarray] = {}
    for name in settings.alterations:
        images = inputs.images[name]
        if list(images.keys) != list(test.keys):
            raise DataError(
                f"{len(test.keys) - len(images.keys)} of {len(test.keys)} images cannot be altered by {name}: expected "
                "images of at least 3 x 3 pixels"
            )
        check_finite(images.array, f"features of images altered by {name}", images.keys)
        of_images = classification_samples(logits(images), labels)
        (same if name in small_changes() else correct)[name] = (
            (of_images["prediction"] == before) * 1.0 if name in small_changes() else of_images["correct"]
        )
    samples = {f"{CORRECT}{kind}": _stacked(correct, severities(correct, kind)) for kind in _kinds(correct)}
    names = [f"{CORRUPTED}{kind}" for kind in _kinds(correct)]
    if correct:
        names = ["corrupted_acc1", *(["mce_alexnet"] if settings.corruptions == (ALL,) else []), *names]
        found.details["corruptions"] = {name: float(values.mean()) for name, values in correct.items()}
    if same:
        samples["same"] = _stacked(same, list(same))
        names.append("stability")
        found.details["stability"] = {name: float(values.mean()) for name, values in same.items()}
    found.metrics.extend(measure(name, samples, inputs.seed, len(test.bad)) for name in names)
    found.samples.update({name: values.tolist() for name, values in samples.items()})


def _kinds(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.partition("/")[0] for name in names))


def _stacked(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    return np.stack([columns[name] for name in names], axis=1)


def _add_groups(found: Reliability, inputs: Inputs, columns: Columns) -> None:
    test, correct = inputs.images["test"], np.asarray(columns["correct"])
    group = np.array([inputs.groups[key] for key in test.keys])
    of_groups = {"group": group, "correct": correct}
    found.metrics.extend(measure(name, of_groups, inputs.seed, len(test.bad)) for name in GROUPS)
    found.samples["group"] = group.tolist()
    found.details["groups"] = {
        name: {"num_scored": int((group == name).sum()), "acc1": float(correct[group == name].mean())}
        for name in np.unique(group).tolist()
    }
