"""Embeddings of fewer bytes: what a scalar quantiser, signs or a Matryoshka cut cost in accuracy.

`int8`: a byte per dimension, whose range is that of the images that are searched or learned from, the same arithmetic
as faiss's scalar quantiser QT_8bit: the range has 255 steps, a number is rounded down to a whole step, and read back as
the middle of its step; what lies outside of the range is moved to its end. `binary`: a bit per dimension, whether the
number is positive, as in sentence-transformers' quantize_embeddings; bits compare by Hamming distance. `dim=N`: the
first N dimensions (Kusupati et al. 2022, Matryoshka representation learning).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.interval import generator
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.protocols.base import Features, Inputs, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from mlcd_eval.support.resident import Prepare

INT8, BINARY = "int8", "binary"
_STEPS = 255
_ROWS = 1 << 14  # looked at together

S = TypeVar("S", bound=BaseModel)


def _known(text: str) -> str:
    if text not in (INT8, BINARY) and not re.fullmatch(r"dim=[1-9]\d{0,5}", text):
        raise ValueError("expected int8, binary or dim=N with N of at least 1")
    return text


Embedding = Annotated[str, AfterValidator(_known)]


def check_dimensions(embedding: str | None, layer: str, info: EncoderInfo) -> None:
    """Raise IncompatibleError where a model's layer has fewer dimensions than are to be kept."""
    width = info.width_of(layer)
    if width is not None and _dimensions(embedding, width) > width:
        raise IncompatibleError(
            f"embedding={embedding} keeps the first dimensions of a feature: got model {info.spec!r}, whose layer "
            f"{layer!r} has {width}, expected at least as many"
        )


def _dimensions(embedding: str | None, width: int) -> int:
    return int(embedding[4:]) if embedding and embedding.startswith("dim=") else width


def cut(embedding: str | None, array: np.ndarray) -> np.ndarray:
    """Return the dimensions (N, D') that are kept of an array (N, D). Raises IncompatibleError if it has fewer."""
    kept = _dimensions(embedding, array.shape[1])
    if kept > array.shape[1]:
        raise IncompatibleError(f"embedding={embedding}: got features of {array.shape[1]} dimensions, expected {kept}")
    return array if kept == array.shape[1] else array[:, :kept]


def compressed(embedding: str | None, learned: np.ndarray, device: str, before: Prepare) -> Prepare:
    """Return what rows pass through, `before` first. The numbers that the bytes or bits stand for come out, -1 and 1
    for bits. learned: the rows (N, D) whose ranges are those of int8."""
    if embedding == INT8:
        low, high = _ranges(learned, device, before)
        return lambda rows: scalar_quantised(before(rows), low, high)
    if embedding == BINARY:
        return lambda rows: (before(rows) > 0).float() * 2 - 1
    return before


def _ranges(array: np.ndarray, device: str, before: Prepare) -> tuple[Tensor, Tensor]:
    import torch

    from mlcd_eval.support.resident import Rows

    parts = [(rows.amin(0), rows.amax(0)) for rows in Rows(array, device, before, keep=False).chunks(_ROWS)]
    lows, highs = zip(*parts, strict=True)
    return torch.stack(lows).amin(0), torch.stack(highs).amax(0)


def scalar_quantised(rows: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return rows (N, D) as their bytes are read back; low, high (D,): the ends of each dimension's range."""
    span = high - low
    share = ((rows - low) / span.where(span > 0, 1)).clamp(0, 1)
    return low + span * ((_STEPS * share).floor() + 0.5) / _STEPS


def bytes_of(embedding: str | None, array: np.ndarray) -> int:
    """Return the bytes of a row of an array (N, D) that was not cut."""
    width = _dimensions(embedding, array.shape[1])
    sizes = {INT8: width, BINARY: math.ceil(width / 8)}
    return sizes.get(embedding or "", width * array.itemsize)


def beside_full_precision(
    score: Callable[[S, Inputs], Scores], settings: S, inputs: Inputs, scored: Features
) -> Scores:
    """Return the scores of settings with a field `embedding`; where that makes embeddings smaller, the details hold
    `full_precision`, the metrics without it, and `against_full_precision`, the difference of the primary one with its
    paired interval over the same images."""
    embedding = getattr(settings, "embedding")  # noqa: B009 of any protocol that has it
    scores = replace(score(settings, inputs), bytes_per_embedding=bytes_of(embedding, scored.array))
    if embedding is None:
        return scores
    full = score(settings.model_copy(update={"embedding": None}), inputs)
    details: dict[str, Any] = {"full_precision": {metric.name: metric.value for metric in full.metrics}}
    statistic, values = metric_kind(scores.primary).statistic, (_value(full), _value(scores))
    if statistic is not None and values[0] is not None and values[1] is not None:
        (before, groups), (after, _) = (metric_kind(scores.primary).selected(each.samples) for each in (full, scores))
        paired = statistic.paired(before, after, groups, generator(inputs.seed, scores.primary))
        details["against_full_precision"] = {
            "metric": scores.primary,
            "difference": values[1] - values[0],
            "ci95": paired.ci95,
        }
    return replace(scores, details={**scores.details, **details})


def _value(scores: Scores) -> float | None:
    return next(metric.value for metric in scores.metrics if metric.name == scores.primary)
