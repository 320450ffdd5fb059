"""What a protocol is: which features it needs, and a pure function from features to metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel

from mlcd_eval.data.base import Annotation, Kind
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.base import Metric


@dataclass(frozen=True)
class ImageRequest:
    """Features of one split at one layer. letterbox: show the encoder the whole image, nothing cropped away."""

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
    annotations: sentences or questions by role, of datasets that have them. predictions: a model's own masks or answers
    for those of the scored split, by their id (sent_id, question_id), where the protocol needs an `ability`.
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


@dataclass(frozen=True)
class Needs:
    """What a protocol needs of a model and its data beside image features.

    texts: the model's text tower. class_prompts: class names and templates. text_encoder: spec of another model whose
    text tower is used in place of the model's own. ability: what the model itself does with the scored split (`segment`
    or `answer`), None for features only; prompt: the text around a question; max_new_tokens: the length of an answer.
    """

    texts: bool = False
    class_prompts: bool = False
    text_encoder: str | None = None
    ability: str | None = None
    prompt: str = "{question}"
    max_new_tokens: int = 32


S = TypeVar("S", bound=BaseModel)


class Protocol(Generic[S]):
    """A way of scoring an encoder. Never imports encoders; knows data only by its kind and splits.

    name: the first part of its tasks' names. version: raised when its numbers change; part of a record's identity.
    Settings: its form, with defaults. kinds: of the data sets that it can use. takes_predictions: whether predictions
    that another program saved can be scored, without features.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    Settings: type[S]
    kinds: ClassVar[tuple[Kind, ...]]
    takes_predictions: ClassVar[bool] = False

    def needs(self, settings: S) -> Needs:
        """What it needs beside features."""
        return Needs()

    def requests(self, settings: S, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Role -> features, given the dataset's splits; raises IncompatibleError where a needed split is missing."""
        raise NotImplementedError

    def scored_split(self, settings: S, splits: Sequence[str]) -> str:
        """The split whose items are scored."""
        requests = self.requests(settings, splits)
        return requests.get("test", list(requests.values())[-1]).split

    def check_annotations(self, settings: S, split: str, annotations: Sequence[Annotation]) -> None:
        """Raise IncompatibleError where what is to be scored has no truth to score it against."""

    def for_model(self, settings: S, info: EncoderInfo) -> S:
        """Settings with what depends on the model decided; raises IncompatibleError where it cannot serve them."""
        return settings

    def for_predictions(self, settings: S) -> S:
        """Settings for predictions that another program made."""
        return settings

    def read_predictions(self, path: Path, annotations: Sequence[Annotation]) -> Mapping[Any, Any]:
        """Saved predictions by the id of their annotation, where `takes_predictions`; raises DataError for what is
        wrong with the file."""
        raise NotImplementedError

    def submission(self, predictions: Mapping[Any, Any]) -> Sequence[Mapping[str, Any]]:
        """Predictions in the form of the benchmark's own server; raises IncompatibleError where there is none."""
        raise IncompatibleError(f"{self.name} has no benchmark server that takes predictions")

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
