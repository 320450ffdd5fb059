"""DINOv2's and DINOv3's linear evaluation: linear layers trained by SGD at a grid of learning rates and layers.

dinov2/eval/linear.py at b8931f7 and dinov3/eval/linear.py at 6876159: momentum of 0.9, no weight decay, a cosine
schedule to 0, learning rates times the batch's size over 256, weights that start from a normal distribution of
deviation 0.01 and biases from 0, batches from endless passes over train. The layer that is best on the val split is
scored as it is; it is not trained again on train and val. Here features are kept: images are not augmented.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.classification.adamw_probe import Layer
from mlcd_eval.protocols.classification.probe_training import Probe, TrainingSet, check_contrast
from mlcd_eval.protocols.shared.vector_layer import VectorLayer
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from torch import Tensor

    from mlcd_eval.support.resident import Rows

LEARNING_RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1)
DINOV2_LAYERS = ("last_1/cls", "last_1/cls+mean", "last_4/cls", "last_4/cls+mean")
_DEVIATION = 0.01


class SGDSettings(BaseModel):
    """layers: those that are tried, with every one of learning_rates, before these are scaled by batch_size / 256.
    iterations: steps, as many as 10 passes over ImageNet in batches of 1,024 have. Nothing is learned from the val
    split or the part of train that is held out, even where there is one candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: tuple[VectorLayer, ...] = Field(default=DINOV2_LAYERS, min_length=1)
    learning_rates: tuple[PositiveFloat, ...] = Field(default=LEARNING_RATES, min_length=1)
    iterations: PositiveInt = 12_500
    batch_size: PositiveInt = 128
    momentum: float = Field(default=0.9, ge=0, lt=1)

    @property
    def candidates(self) -> int:
        """How many layers are trained."""
        return len(self.layers) * len(self.learning_rates)

    def only(self, layer: str, rate: float) -> SGDSettings:
        """Return the settings of one candidate."""
        return self.model_copy(update={"layers": (layer,), "learning_rates": (rate,)})


def search_sgd(
    settings: SGDSettings,
    data_at: Callable[[str], TrainingSet],
    score: Callable[[Probe, np.ndarray, np.ndarray], float | None],
    num_classes: int,
    seed: int,
    device: str,
    advance: Advance = lambda _: None,
) -> tuple[SGDSettings, list[dict[str, Any]], int]:
    """Return the settings of the candidate that is best on the held-out rows, the first of equal ones, a line per
    candidate for the record, and how many rows these are.

    data_at: layer -> rows. score: (probe, features, labels) -> the metric that ranks. advance: called with the steps
    done. Raises IncompatibleError without held-out rows.
    """
    from mlcd_eval.support.resident import Rows

    lines: list[dict[str, Any]] = []
    held_out = 0
    for layer in settings.layers:
        data = data_at(layer)
        held_out = len(data.val_rows)
        if held_out == 0:
            raise IncompatibleError(
                f"sgd: learning rate and layer are chosen on rows that are held out: got {len(data.labels)} train "
                "samples and no class with two, expected one (or a val split, or a single layer and learning rate)"
            )
        check_contrast(data.labels[data.fit_rows])
        features = Rows(data.features, device, data.prepare).select(data.fit_rows)
        trained = train_sgd(features, data.labels[data.fit_rows], num_classes, settings, seed, advance)
        for rate, fit in zip(settings.learning_rates, trained, strict=True):
            value = score(Probe(fit, {}), data.features[data.val_rows], data.labels[data.val_rows])
            lines.append({"layer": layer, "lr": rate, "score": value})
    best = max(lines, key=lambda line: -1.0 if line["score"] is None else line["score"])
    return settings.only(best["layer"], best["lr"]), lines, held_out


def trained_sgd(
    data: TrainingSet, num_classes: int, settings: SGDSettings, seed: int, device: str, advance: Advance
) -> Probe:
    """Train the settings' only candidate on data.fit_rows. Raises IncompatibleError if all labels are equal."""
    from mlcd_eval.support.resident import Rows

    check_contrast(data.labels[data.fit_rows])
    features = Rows(data.features, device, data.prepare).select(data.fit_rows)
    (fit,) = train_sgd(features, data.labels[data.fit_rows], num_classes, settings, seed)
    advance(1)
    details = {"num_train": len(data.fit_rows), "layer": settings.layers[0], "lr": settings.learning_rates[0]}
    return Probe(fit, details)


def train_sgd(
    features: Rows,
    labels: np.ndarray,
    num_classes: int,
    settings: SGDSettings,
    seed: int,
    advance: Advance = lambda _: None,
) -> list[Layer]:
    """Train a layer at each learning rate, all from the same weights and on the same batches of features (N, D), which
    makes their products one. labels (N,), or (N, C) 0/1: then the loss is binary cross-entropy."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    first = _DEVIATION * torch.randn(num_classes, features.shape[1], generator=generator)
    device, count = features.device, len(settings.learning_rates)
    weight = first.to(device).repeat(count, 1)  # (rates x classes, D)
    bias = torch.zeros(len(weight), device=device)
    speed_of_weight, speed_of_bias = torch.zeros_like(weight), torch.zeros_like(bias)
    scaled = torch.tensor([rate * settings.batch_size / 256 for rate in settings.learning_rates], device=device)
    targets = torch.as_tensor(labels, device=device)
    for step, index in zip(range(settings.iterations), _batches(len(labels), settings.batch_size, seed)):  # noqa: B905 the batches are endless
        x, target = features[index], targets[torch.as_tensor(index, device=device)]
        logits = torch.addmm(bias, x, weight.T).unflatten(1, (count, num_classes))
        slopes = _slopes(logits, target).flatten(1)
        speed_of_weight.mul_(settings.momentum).addmm_(slopes.T, x)
        speed_of_bias.mul_(settings.momentum).add_(slopes.sum(0))
        rates = (scaled * (1 + math.cos(math.pi * step / settings.iterations)) / 2).repeat_interleave(num_classes)
        weight.addcmul_(speed_of_weight, rates[:, None], value=-1)
        bias.addcmul_(speed_of_bias, rates, value=-1)
        advance(1)
    weights, biases = weight.unflatten(0, (count, num_classes)), bias.unflatten(0, (count, num_classes))
    return [Layer(weights[place], biases[place]) for place in range(count)]


def _slopes(logits: Tensor, target: Tensor) -> Tensor:
    """Return the derivative of each rate's mean loss by its logits (B, rates, C)."""
    import torch

    if target.dim() == 2:
        return (logits.sigmoid() - target[:, None]) / (logits.shape[0] * logits.shape[2])
    truth = torch.nn.functional.one_hot(target, logits.shape[2])
    return (logits.softmax(2) - truth[:, None]) / len(logits)


def _batches(count: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Yield rows of batches of one size from endless passes over all rows, each in a new order."""
    rng = np.random.default_rng(seed)
    rest: np.ndarray = np.arange(0)
    while True:
        while len(rest) < size:
            rest = np.concatenate([rest, rng.permutation(count)])
        yield rest[:size]
        rest = rest[size:]
