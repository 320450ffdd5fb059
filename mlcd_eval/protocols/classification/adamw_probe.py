"""clip_benchmark's linear probe: a linear layer trained by AdamW with a cosine schedule and no warm-up.

The arithmetic, the initial weights and the order of the batches are those of clip_benchmark/metrics/linear_probe.py
1.6 for the same seed, without mixed precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt

from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.table import metric_value
from mlcd_eval.protocols.classification.probe_training import Probe, TrainingSet, check_contrast
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mlcd_eval.support.resident import Rows

WEIGHT_DECAYS: tuple[float, ...] = tuple(np.logspace(-6, 2, num=97).tolist())
"""Those that are searched: 12 per decade."""
_FIRST = [place for place, value in enumerate(WEIGHT_DECAYS) if value in np.logspace(-6, 2, num=7).tolist()]
_SPANS = (8, 4, 2, 1)
MOST_TRAININGS = len(_FIRST) + 2 * len(_SPANS) + 1
"""How many layers a search trains at most, with the last one."""
_ROWS = 1 << 13  # test rows at a time


class AdamWSettings(BaseModel):
    """lr, epochs, batch_size: clip_benchmark's --fewshot_lr, --fewshot_epochs and --batch_size. weight_decay: 0 as
    clip_benchmark without a val split; null searches it on the val split, as clip_benchmark with --val_split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lr: PositiveFloat = 0.1
    epochs: PositiveInt = 10
    batch_size: PositiveInt = 64
    weight_decay: NonNegativeFloat | None = 0.0

    @property
    def trainings(self) -> int:
        """How many layers are trained at most."""
        return MOST_TRAININGS if self.weight_decay is None else 1


@dataclass(frozen=True)
class Layer:
    """A trained layer: weight (C, D) and bias (C,); -inf is the bias of a class above those of train."""

    weight: Tensor
    bias: Tensor

    def scores(self, features: Rows) -> Iterator[Tensor]:
        """Yield the logits of features (N, D), in order, in chunks (B, C)."""
        import torch

        for x in features.chunks(_ROWS):
            yield torch.nn.functional.linear(x, self.weight, self.bias)


def train_adamw(
    data: TrainingSet,
    num_classes: int,
    settings: AdamWSettings,
    seed: int,
    device: str,
    refit: bool,
    advance: Advance = lambda _: None,
) -> Probe:
    """Train a layer on all rows. Without a given weight decay, that is searched by accuracy on data.val_rows; unless
    `refit` is true the last layer too is trained on data.fit_rows only.

    The rows are visited in an order that depends on the order of data and the seed. Raises IncompatibleError if all
    labels are equal.
    """
    from mlcd_eval.support.resident import Rows

    features = Rows(data.features, device, data.prepare)
    check_contrast(data.labels)
    weight_decay = settings.weight_decay
    details: dict[str, Any] = {}
    if weight_decay is None:
        fit, val = (features.select(rows) for rows in (data.fit_rows, data.val_rows))
        fit_labels, val_labels = data.labels[data.fit_rows], data.labels[data.val_rows]
        accuracies: dict[int, float] = {}

        def accuracy(place: int) -> float:
            if place not in accuracies:
                layer = _train(fit, fit_labels, num_classes, settings, WEIGHT_DECAYS[place], seed)
                accuracies[place] = metric_value("acc1", classification_samples(layer.scores(val), val_labels)) or 0.0
                advance(1)
            return accuracies[place]

        weight_decay = WEIGHT_DECAYS[_peak(accuracy)]
        advance(MOST_TRAININGS - 1 - len(accuracies))
        details["search"] = [
            {"weight_decay": WEIGHT_DECAYS[place], "score": score} for place, score in sorted(accuracies.items())
        ]
    rows = data.fit_rows if settings.weight_decay is None and not refit else np.arange(len(data.labels))
    layer = _train(features.select(rows), data.labels[rows], num_classes, settings, weight_decay, seed)
    advance(1)
    return Probe(layer, {"num_train": len(rows), "weight_decay": weight_decay, **details})


def _peak(accuracy: Callable[[int], float]) -> int:
    """The place of the best weight decay: among 5 to 7 that are far apart, then among neighbours ever nearer."""
    best = _best(accuracy, _FIRST)
    for span in _SPANS:
        best = _best(accuracy, [max(best - span, 0), best, min(best + span, len(WEIGHT_DECAYS) - 1)])
    return best


def _best(accuracy: Callable[[int], float], places: Sequence[int]) -> int:
    """The first of the places with the largest accuracy, 0 where all are 0."""
    best, most = 0, 0.0
    for place in places:
        if accuracy(place) > most:
            best, most = place, accuracy(place)
    return best


def _train(
    features: Rows, labels: np.ndarray, num_classes: int, settings: AdamWSettings, weight_decay: float, seed: int
) -> Layer:
    import torch

    generator = torch.Generator().manual_seed(seed)
    classes = int(labels.max()) + 1
    layer = torch.nn.utils.skip_init(torch.nn.Linear, features.shape[1], classes)
    torch.nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)  # those of Linear itself
    bound = 1 / math.sqrt(features.shape[1])
    torch.nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    layer.to(features.device)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=settings.lr, weight_decay=weight_decay)
    targets = torch.as_tensor(labels, device=features.device)
    steps = settings.epochs * -(-len(labels) // settings.batch_size)
    for step, batch in enumerate(_batches(len(labels), settings, generator)):
        for group in optimizer.param_groups:
            group["lr"] = 0.5 * (1 + np.cos(np.pi * step / steps)) * settings.lr
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(layer(features[batch]), targets[batch.to(targets.device)]).backward()
        optimizer.step()
    missing = num_classes - classes
    with torch.no_grad():
        return Layer(
            torch.nn.functional.pad(layer.weight, (0, 0, 0, missing)),
            torch.nn.functional.pad(layer.bias, (0, missing), value=-torch.inf),
        )


def _batches(count: int, settings: AdamWSettings, generator: Generator) -> Iterator[Tensor]:
    """Yield the rows of each batch of all epochs, as a DataLoader with shuffle=True draws them from the generator."""
    import torch

    for _ in range(settings.epochs):
        _, of_order = torch.empty(2, dtype=torch.int64).random_(generator=generator)  # first the seed of the workers
        order = torch.randperm(count, generator=torch.Generator().manual_seed(int(of_order)))
        yield from order.split(settings.batch_size)
