"""Which layer of a tower a linear probe does best on: every block at every pooling, chosen on held-out rows of train.

The features are the layer `blocks`, (N, depth, poolings, D). For each block and pooling lambda is searched as for any
linear probe, the probe is fitted with it on the rows that the search fits, and the other rows score it. The best layer
alone is then probed as any layer is: lambda searched, all rows fitted, test scored. Test decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlcd_eval.encoders.layers import CLS, MEAN
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification.probe_training import Probe, TrainingSet
from mlcd_eval.support.progress import Advance

Score = Callable[[Probe, np.ndarray, np.ndarray], Metric]
"""(probe, features, labels) -> the metric that ranks layers, with its interval."""
Train = Callable[[TrainingSet, "float | None"], Probe]
"""(rows, lambda) -> a probe; without a lambda it is searched."""


@dataclass(frozen=True)
class Layer:
    """A block, from 0, and which of the poolings kept at it are concatenated."""

    block: int
    ways: tuple[int, ...]
    name: str

    def of(self, array: np.ndarray) -> np.ndarray:
        """Return features (N, D) float32 of an array (N, depth, poolings, width)."""
        return np.concatenate([array[:, self.block, way] for way in self.ways], axis=1, dtype=np.float32)


def layers_of(array: np.ndarray) -> list[Layer]:
    """Return the layers in an array (N, depth, poolings, width), from the first block to the last."""
    poolings = (CLS, MEAN)[-array.shape[2] :]
    ways = [*((number,) for number in range(len(poolings))), *([(0, 1)] if len(poolings) == 2 else [])]
    return [
        Layer(block, chosen, f"block_{block + 1}/{'+'.join(poolings[way] for way in chosen)}")
        for block in range(array.shape[1])
        for chosen in ways
    ]


def best_layer(
    layers: Sequence[Layer], data: TrainingSet, train: Train, score: Score, advance: Advance = lambda _: None
) -> tuple[Layer, list[dict[str, Any]]]:
    """Return the layer with the best score on data.val_rows, and a line per layer for the record.

    data: rows of all layers, (N, depth, poolings, width). Of equal scores the one of fewer numbers wins, then the
    deeper one. Raises IncompatibleError if there is no held-out row.
    """
    if len(data.val_rows) == 0:
        raise IncompatibleError(
            f"layers: the best layer is chosen on rows of train that are held out: got {len(data.labels)} train "
            "samples and no class with two, expected one (or a val split, or a single layer)"
        )
    lines, ranks = [], []
    for layer in layers:
        features = layer.of(data.features)
        lambda_ = train(replace(data, features=features), None).details["lambda"]
        part = np.arange(len(data.fit_rows))
        fitted = TrainingSet(features[data.fit_rows], data.labels[data.fit_rows], part, part[:0], prepare=data.prepare)
        metric = score(train(fitted, lambda_), features[data.val_rows], data.labels[data.val_rows])
        lines.append({"layer": layer.name, "score": metric.value, "ci95": metric.ci95, "lambda": lambda_})
        ranks.append((metric.value if metric.value is not None else -1.0, -len(layer.ways), layer.block, layer))
        advance(1)
    return max(ranks, key=lambda rank: rank[:3])[3], lines


def at_layer(inputs: Inputs, layer: Layer) -> Inputs:
    """Return the inputs of a probe of one layer."""

    def narrowed() -> Iterator[tuple[str, Features]]:
        for role, features in inputs.images.items():
            yield role, replace(features, array=layer.of(features.array))

    images: Mapping[str, Features] = dict(narrowed())
    return replace(inputs, images=images)
