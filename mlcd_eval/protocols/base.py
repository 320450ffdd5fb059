"""What a protocol is: which features it needs, and a pure function from features to metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel

from mlcd_eval.data.base import Annotation, Kind
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.metrics.base import Metric


@dataclass(frozen=True)
class ImageRequest:
    """Features of one split at one layer. whole: of the letterboxed image, so that nothing of it is cropped away."""

    split: str
    layer: str
    letterbox: bool = False


@dataclass(frozen=True)
class Features:
    """Encoded images of a split, row i of every field being sample i.

    array (N, D) float32, possibly memory-mapped; labels (N,) int64 or (N, C) 0/1 for multilabel, None for retrieval;
    texts: the captions of each row (retrieval), else empty tuples; bad: keys of images that could not be decoded
    (only with --allow-bad-images), which have no row.
    """

    array: np.ndarray
    keys: Sequence[str]
    labels: np.ndarray | None = None
    texts: Sequence[tuple[str, ...]] = ()
    bad: Sequence[str] = ()


@dataclass(frozen=True)
class Inputs:
    """All that a protocol may see. `images` is keyed by the roles of `Protocol.requests`.

    encode_texts: texts -> (T, D) float32, batched and cached by the caller; None without a text tower.
    class_names, templates: of the dataset (a template holds `{c}`); prompts_source: where both come from.
    annotations: sentences or questions by role, of datasets that have them. predictions: a model's own answers to those
    of the scored split, by their id (sent_id, question_id), where the protocol asked for its `ability`.
    """

    images: Mapping[str, Features]
    encode_texts: Callable[[Sequence[str]], np.ndarray] | None = None
    class_names: Sequence[str] | None = None
    templates: Sequence[str] | None = None
    prompts_source: str | None = None
    seed: int = 0
    device: str = "cpu"
    annotations: Mapping[str, Sequence[Annotation]] = field(default_factory=dict)
    predictions: Mapping[Any, Any] | None = None


@dataclass(frozen=True)
class Scores:
    """primary: the name of the metric that ranks. samples: column -> one entry per scored sample (`key` among them),
    written by --log-samples and paired by `compare`. details: what else a reader needs (chosen lambda, iterations)."""

    metrics: Sequence[Metric]
    primary: str
    samples: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


S = TypeVar("S", bound=BaseModel)


class Protocol(Generic[S]):
    """A way of scoring an encoder. Never imports encoders; knows data only by its kind and splits."""

    name: ClassVar[str]
    Settings: type[S]
    kinds: ClassVar[tuple[Kind, ...]]
    needs_text: ClassVar[bool] = False

    def requests(self, settings: S, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Role -> features, given the dataset's splits; raises IncompatibleError where a needed split is missing."""
        raise NotImplementedError

    def scored_split(self, settings: S, splits: Sequence[str]) -> str:
        """The split whose items are scored."""
        requests = self.requests(settings, splits)
        return requests.get("test", list(requests.values())[-1]).split

    def for_model(self, settings: S, info: EncoderInfo) -> S:
        """Settings with what depends on the model decided; raises IncompatibleError where it cannot serve them."""
        return settings

    def ability(self, settings: S) -> str | None:
        """What the model itself must do with the scored split (`segment`, `answer`), None for features only."""
        return None

    def score(self, settings: S, inputs: Inputs) -> Scores:
        """Pure: same inputs, same scores."""
        raise NotImplementedError

    # names in outputs

    pwc_tasks: ClassVar[tuple[str, ...]] = ()
    """Tasks of Papers with Code that list its numbers; without any, the protocol's own name is used."""
    pwc_board: ClassVar[str] = "{dataset}"
    """Name of a board there, for protocols that share a task and a data set with another."""
    pwc_metrics: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(pattern of a metric's whole name, its name there), where that is not the one that all protocols share."""
    pwc_num_params: ClassVar[bool] = False
    """Whether a row there also has the number of parameters."""
    hub_task_type: ClassVar[str] = ""
    """Task type of the Hugging Face hub; empty for the protocol's own name."""
    picture_side: ClassVar[int | None] = None
    """Longest side in pixels of the pictures of its samples; None where samples have no pictures."""
    usual_settings: ClassVar[tuple[tuple[str, Any], ...]] = ()
    """(setting, value): what `for_model` makes of a default for most models of papers; outputs do not name it."""
    averages_metrics: ClassVar[bool] = False
    """Whether papers print the mean over its tasks although these rank by different metrics."""

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """The metrics that a summary or a leaderboard shows, of those of a record."""
        return [name for name in names if name == primary]

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """Whether the seed of a record changes its values, and not only their intervals."""
        return False
