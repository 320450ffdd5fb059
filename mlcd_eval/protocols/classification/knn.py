"""Weighted k-nearest-neighbour classification (DINO's eval_knn.py; Wu et al. 2018, section 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from mlcd_eval.encoders.base import PENULTIMATE, EncoderInfo
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.table import measure, metric_kind
from mlcd_eval.protocols.base import Control, Elsewhere, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.classification.controls import label_controls
from mlcd_eval.protocols.classification.labelled import as_lists, checked_labels, count_classes, split_requests
from mlcd_eval.protocols.classification.threads import threads_for
from mlcd_eval.protocols.dialects import ProtocolDialect, ProtocolSettings
from mlcd_eval.protocols.shared.embedding import (
    BINARY,
    Embedding,
    beside_full_precision,
    check_dimensions,
    compressed,
    cut,
)
from mlcd_eval.protocols.shared.unit import unit
from mlcd_eval.protocols.shared.vector_layer import VectorLayer
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    import torch

    from mlcd_eval.support.resident import Prepare

PRIMARY_K = 20
_TILE = {"cpu": (512, 1 << 14), "cuda": (2048, 1 << 16)}  # test rows and train rows compared at a time
_LEAST_ROWS = 16
_VOTES = 1 << 22  # test rows x classes at a time


class KNNSettings(ProtocolSettings):
    """ks: numbers of neighbours; the primary metric is accuracy with 20, else with the first of ks. exif: turn images
    as their EXIF orientation says. embedding: how features are compressed (shared/embedding.py)."""

    layer: VectorLayer = PENULTIMATE
    exif: bool = False
    embedding: Embedding | None = None
    ks: tuple[PositiveInt, ...] = Field(default=(10, 20, 100, 200), min_length=1)
    temperature: PositiveFloat = 0.07


FACTORS = {
    "layer": (PENULTIMATE, "projected"),
    "exif": (False, True),
}

_TIES = "Equal similarities are ordered by topk there, and by the order of train here; equal votes likewise."

DIALECTS = {
    "dino": ProtocolDialect({}, "DINO, eval_knn.py at 04c0ad9: k of 10, 20, 100 and 200, temperature 0.07", _TIES),
    "dinov2": ProtocolDialect(
        {},
        "DINOv2, dinov2/eval/knn.py at 05c66df, with its defaults",
        f"Votes are divided by the sum of all votes there, which changes no order. {_TIES}",
    ),
    "dinov3": ProtocolDialect(
        {},
        "DINOv3, dinov3/eval/knn.py at 3039bd3, with its defaults",
        f"A k above the number of train images is lowered to it there, and undefined here. {_TIES}",
    ),
    "wu2018": ProtocolDialect(
        {"ks": (200,)},
        "Wu et al. 2018, section 3.4: k of 200, temperature 0.07",
        "On their features of 128 dimensions.",
    ),
}


ELSEWHERE = Elsewhere(
    tasks=("Self-Supervised Image Classification",),
    metrics=((r"knn_acc(\d+)@(\d+)", r"Top \1 Accuracy (kNN, k=\2)"),),
    board="{dataset} (kNN)",
    num_params=True,
    hub_task="image-feature-extraction",
)


class KNN(Protocol[KNNSettings]):
    """Each of the k train images of largest cosine similarity votes for its class with exp(similarity / temperature).

    Of equally similar images the earlier one in train comes first, and of classes with equal votes the lower one. A
    class without votes is never among the best five. A zero vector has similarity 0 to everything.
    """

    name = "knn"
    version = 2
    kinds = ("classification",)
    elsewhere = ELSEWHERE
    dialects = DIALECTS
    factors = FACTORS

    def requests(self, settings: KNNSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return features of train and test."""
        return split_requests(self.name, settings.layer, splits, exif=settings.exif)

    def for_model(self, settings: KNNSettings, info: EncoderInfo) -> KNNSettings:
        """Raise IncompatibleError for a model of fewer dimensions than are to be kept."""
        check_dimensions(settings.embedding, settings.layer, info)
        return settings

    def score(self, settings: KNNSettings, inputs: Inputs) -> Scores:
        """Undefined (None) for a k above the number of train images. Raises DataError where a feature is not finite."""
        return beside_full_precision(self._score, settings, inputs, inputs.images["test"])

    def _score(self, settings: KNNSettings, inputs: Inputs) -> Scores:
        train, test = inputs.images["train"], inputs.images["test"]
        train_labels, labels = checked_labels(train, "train"), checked_labels(test, "test")
        num_classes = count_classes(inputs)
        possible = [k for k in settings.ks if k <= len(train_labels)]
        with (
            threads_for(train.array.size * len(labels)),
            inputs.stage("nearest neighbours", len(labels), "images") as advance,
        ):
            similarity, rows = _neighbours(settings.embedding, train.array, test.array, possible, inputs, advance)
        ahead = similarity.astype(np.float64) - similarity[:, :1]  # so that the nearest weighs 1: exp could overflow
        weights, classes = np.exp(ahead / settings.temperature), train_labels[rows]
        columns = {k: _samples(weights[:, :k], classes[:, :k], labels, num_classes) for k in possible}

        primary = PRIMARY_K if PRIMARY_K in settings.ks else settings.ks[0]
        samples = {"key": list(test.keys), "label": labels.tolist()}
        if primary in columns:
            samples |= as_lists({name: columns[primary][name] for name in ("prediction", "correct")})
        samples |= {f"rank@{k}": columns[k]["rank"].tolist() for k in possible}
        names = [f"knn_{accuracy}@{k}" for k in settings.ks for accuracy in ("acc1", "acc5")]
        return Scores(
            metrics=[
                measure(
                    name,
                    samples,
                    inputs.seed,
                    len(test.bad),
                    defined=int(name.partition("@")[2]) in columns and metric_kind(name).fits(num_classes),
                )
                for name in names
            ],
            primary=f"knn_acc1@{primary}",
            samples=samples,
            details={"num_train": len(train_labels)},
        )

    def controls(self, settings: KNNSettings, inputs: Inputs) -> list[Control]:
        """Of the five nearest neighbours, since few images are enough for them."""
        return label_controls(self, settings.model_copy(update={"ks": (5,), "embedding": None}), inputs)


def _neighbours(
    embedding: str | None,
    train: np.ndarray,
    test: np.ndarray,
    possible: Sequence[int],
    inputs: Inputs,
    advance: Advance,
) -> tuple[np.ndarray, np.ndarray]:
    """Return `nearest` for the largest k, of compressed features. Those of bits are not divided by their length, which
    is the same for all: their products are whole numbers, so that equal distances stay equal."""
    train, test = cut(embedding, train), cut(embedding, test)
    length = train.shape[1] if embedding == BINARY else 1
    prepare = compressed(embedding, train, inputs.device, unit)
    whole = prepare if embedding in (None, BINARY) else lambda rows: unit(prepare(rows))
    similarity, rows = nearest(train, test, max(possible, default=1), inputs.device, advance, whole)
    return similarity / length, rows


def nearest(
    train: np.ndarray,
    test: np.ndarray,
    k: int,
    device: str = "cpu",
    advance: Advance = lambda _: None,
    prepare: Prepare = unit,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k train rows nearest to each test row: cosine similarities (M, k), descending, and rows (M, k).

    train (N, D), test (M, D), k <= N. prepare: what rows pass through before they are multiplied. Equal similarities
    are in the order of train. train is read once, a tile at a time; test is on the device throughout where it fits.
    """
    import torch

    from mlcd_eval.support.resident import Rows

    step, width = _TILE[torch.device(device).type]
    queries = Rows(test, device, prepare)
    blocks = [slice(begin, min(begin + step, len(test))) for begin in range(0, len(test), step)]
    best = [torch.empty(block.stop - block.start, 0, device=device) for block in blocks]
    where = [torch.empty(len(values), 0, dtype=torch.int64, device=device) for values in best]
    offset = 0
    for tile in Rows(train, device, prepare, keep=False).chunks(width):
        columns = torch.arange(offset, offset + len(tile), device=device)
        for number, block in enumerate(blocks):
            near, index = _largest(_products(queries[block], tile), columns.expand(len(best[number]), -1), k)
            values, rows = torch.cat([best[number], near], dim=1), torch.cat([where[number], index], dim=1)
            best[number], where[number] = _largest(values, rows, k)
        advance(len(test) * (offset + len(tile)) // len(train) - len(test) * offset // len(train))
        offset += len(tile)
    similarity, order = torch.cat(best).sort(dim=1, descending=True, stable=True)
    return similarity.cpu().numpy(), torch.cat(where).gather(1, order).cpu().numpy()


def _products(queries: torch.Tensor, tile: torch.Tensor) -> torch.Tensor:
    """Return the products (B, W) of queries (B, D) and tile (W, D). Few rows are padded with rows of zeros, since a
    product of few rows rounds equal rows differently."""
    import torch

    full = [
        rows if len(rows) >= _LEAST_ROWS else torch.nn.functional.pad(rows, (0, 0, 0, _LEAST_ROWS - len(rows)))
        for rows in (queries, tile)
    ]
    return (full[0] @ full[1].T)[: len(queries), : len(tile)]


def _largest(values: torch.Tensor, index: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k largest of each row of values (B, W), the first of equal ones, and their index (B, W), which is
    ascending. Both keep the order of index."""
    if values.shape[1] <= k:
        return values, index
    top, columns = values.topk(k + 1, dim=1)
    columns = columns[:, :k]
    tied = (top[:, k - 1] == top[:, k]).nonzero()[:, 0]  # topk returns an arbitrary one of those tied for the last rank
    columns[tied] = values[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
    columns = columns.sort(dim=1).values
    return values.gather(1, columns), index.gather(1, columns)


def _samples(weights: np.ndarray, classes: np.ndarray, labels: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """Columns of `classification_samples` for weights (M, k) of votes for classes (M, k)."""

    def votes() -> Iterator[np.ndarray]:
        step = max(1, _VOTES // num_classes)
        for start in range(0, len(weights), step):
            part = classes[start : start + step]
            cell = np.arange(len(part))[:, None] * num_classes + part
            total = np.full(len(part) * num_classes, -np.inf)  # where it stays, a class has no vote
            total[cell] = 0
            total += np.bincount(cell.ravel(), weights[start : start + step].ravel(), len(total))
            yield total.reshape(-1, num_classes)

    return classification_samples(votes(), labels)
