"""Which layer of a model a linear probe does best on: every block at every pooling and the pooled output, chosen on
held-out rows of train.

The features are the layer `blocks`, (N, depth, poolings, D), and beside it `penultimate`, in roles of its own. For each
candidate lambda is searched as for any linear probe, and the search's own fit with it is scored on the held-out rows.
The best layer alone is then probed as any layer is: lambda searched, all rows fitted, test scored. Test decides
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.encoders.layers import CLS, MEAN
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification.layer_roles import at_role, split_roles
from mlcd_eval.protocols.classification.probe_training import Probe, TrainingSet
from mlcd_eval.protocols.classification.threads import in_threads
from mlcd_eval.support.progress import Advance

Score = Callable[[Probe, np.ndarray, np.ndarray], Metric]
"""(probe, features, labels) -> the metric that ranks layers, with its interval."""
Train = Callable[[TrainingSet], Probe]
"""Rows -> a probe of those that are to be fitted."""


@dataclass(frozen=True)
class Layer:
    """A block, from 0, and which of the poolings kept at it are concatenated; none at the output, which follows the
    last block."""

    block: int
    ways: tuple[int, ...]
    name: str

    def of(self, images: Mapping[str, Features], role: str) -> Features:
        """Return the features (N, D) float32 of a role of `split_roles`."""
        if not self.ways:
            return at_role(images, role, PENULTIMATE)
        features = images[role]
        columns = [features.array[:, self.block, way] for way in self.ways]
        return replace(features, array=np.concatenate(columns, axis=1, dtype=np.float32))


def layers_of(array: np.ndarray) -> list[Layer]:
    """Return the layers in an array (N, depth, poolings, width), from the first block to the last, and the output."""
    depth, poolings = array.shape[1], (CLS, MEAN)[-array.shape[2] :]
    ways = [*((number,) for number in range(len(poolings))), *([(0, 1)] if len(poolings) == 2 else [])]
    inside = [
        Layer(block, chosen, f"block_{block + 1}/{'+'.join(poolings[way] for way in chosen)}")
        for block in range(depth)
        for chosen in ways
    ]
    return [*inside, Layer(depth, (), PENULTIMATE)]


def best_layer(
    layers: Sequence[Layer],
    data_at: Callable[[Layer], TrainingSet],
    train: Train,
    score: Score,
    advance: Advance = lambda _: None,
    workers: int = 1,
) -> tuple[Layer, list[dict[str, Any]], int]:
    """Return the layer with the best score on the rows that are held out, a line per layer for the record, and how many
    these rows are.

    data_at: the rows at a layer, in the same order at each. workers: layers probed at a time. Of equal scores the one
    of fewer numbers wins, then the deeper one. Raises IncompatibleError if there is no held-out row.
    """

    def probed(layer: Layer) -> tuple[dict[str, Any], int]:
        data = data_at(layer)
        if len(data.val_rows) == 0:
            raise IncompatibleError(
                "layers: the best layer is chosen on rows of train that are held out: got "
                f"{len(data.labels)} train samples and no class with two, expected one (or a val split, or a single "
                "layer)"
            )
        probe = train(data)
        metric = score(probe, data.features[data.val_rows], data.labels[data.val_rows])
        line = {"layer": layer.name, "score": metric.value, "ci95": metric.ci95, "lambda": probe.details["lambda"]}
        return line, len(data.val_rows)

    lines, ranks, held_out = [], [], 0
    for layer, (line, count) in zip(layers, in_threads(probed, layers, workers), strict=True):
        held_out = count
        lines.append(line)
        value = line["score"] if line["score"] is not None else -1.0
        ranks.append((value, -max(1, len(layer.ways)), layer.block, layer))
        advance(1)
    return max(ranks, key=lambda rank: rank[:3])[3], lines, held_out


def at_layer(inputs: Inputs, layer: Layer, without: str | None = None) -> Inputs:
    """Return the inputs of a probe of one layer. without: a role that is left out."""
    roles = [role for role in split_roles(inputs.images) if role != without]
    return replace(inputs, images={role: layer.of(inputs.images, role) for role in roles})
