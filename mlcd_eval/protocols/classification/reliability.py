"""How far the predictions of a classifier can be relied on: what zero-shot and the probes report beside accuracy.

Everything follows from the logits of images, so that a protocol hands over one function that computes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlcd_eval.data.open_set import OPEN_SET
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.calibration import calibration_samples, reliability
from mlcd_eval.metrics.open_set import open_set_scores
from mlcd_eval.metrics.reliability import CALIBRATION, GROUPS, SCALED
from mlcd_eval.metrics.reliability import OPEN_SET as OPEN_SET_METRICS
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import measure
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.altered_images import of_altered_images
from mlcd_eval.protocols.classification.reliability_settings import Logits, ReliabilitySettings
from mlcd_eval.protocols.classification.temperature import fit_temperature
from mlcd_eval.protocols.shared.finite import check_finite

if TYPE_CHECKING:
    from torch import Tensor

MOST = 1 << 24  # held-out logits that a temperature is fitted on: 16,777 images of 1,000 classes


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
    measured = of_altered_images(settings, inputs, columns, logits)
    bad = len(inputs.images["test"].bad)
    found.metrics.extend(measure(name, measured.samples, inputs.seed, bad) for name in measured.names)
    found.samples.update({name: values.tolist() for name, values in measured.samples.items()})
    found.details.update(measured.details)


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
