"""The Protocol class: which features a protocol needs, and a pure function from features to metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, get_args

from numpy.typing import NDArray
from pydantic import BaseModel

from mlcd_eval.data.annotations import Annotation
from mlcd_eval.data.base import Kind
from mlcd_eval.data.prompts import Prompts
from mlcd_eval.data.translated_prompts import Translations
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.protocols.dialects import ProtocolDialect
from mlcd_eval.protocols.frame import Frame
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.support.progress import Progress, Stage


@dataclass(frozen=True)
class ImageRequest:
    """Features of one split at one layer. letterbox: show the encoder the whole image, without cropping. exif: turn
    images as their EXIF orientation says first, as `datasets` does and readers of webdatasets do not. alteration: the
    name of what is done to each image before (data/alterations/names.py). frame: the size of a whole image, None for
    the model's own."""

    split: str
    layer: str
    letterbox: bool = False
    exif: bool = False
    alteration: str | None = None
    frame: Frame | None = None

    @property
    def view(self) -> View:
        """What is encoded in one pass, at every layer that is requested of it."""
        return View(self.split, self.letterbox, self.exif, self.alteration, self.frame)


class View(NamedTuple):
    """A split as an encoder sees it; letterbox, exif, alteration, frame: as in ImageRequest."""

    split: str
    letterbox: bool
    exif: bool
    alteration: str | None
    frame: Frame | None


@dataclass(frozen=True)
class Features:
    """Encoded images of a split. Row i of every field but `bad` belongs to sample i.

    array: (N, D) float32, or (N, h, w, D) for patches, possibly memory-mapped; float16 inside a tower. labels: (N,)
    int64, or (N, C) 0/1 for multilabel, None for retrieval. texts: the captions of each row for retrieval, else empty
    tuples. frame: height and width of what was shown, whose ratio alone counts, of which images fill the top left.
    bad: keys of images that could not be decoded (only with --allow-bad-images), which have no row.
    """

    array: NDArray[Any]
    keys: Sequence[str]
    labels: NDArray[Any] | None = None
    texts: Sequence[tuple[str, ...]] = ()
    bad: Sequence[str] = ()
    frame: tuple[int, int] = (1, 1)

    @property
    def layout(self) -> Layout:
        """Of patches (N, h, w, D)."""
        return Layout((self.array.shape[1], self.array.shape[2]), self.frame)


@dataclass(frozen=True)
class Inputs:
    """Everything that a protocol may use. `images` is keyed by the roles of `Protocol.requests`.

    encode_texts: texts -> (T, D) float32, batched and cached by the caller; None without a text tower.
    count_tokens: texts -> how many tokens each has before it is cut, None where that is not known; context_length: how
    many are read.
    image_side: longer side in pixels of what the model sees, 0 for one without image features.
    class_names, templates: of the dataset (a template contains `{c}`). prompts_source: where both come from. classes:
    those that the names are of, None for all. by_language: of prompts in several languages those of each.
    annotations: sentences or questions by role, if the dataset has them. predictions: a model's own masks or answers
    for those of the scored split, by id (sent_id, question_id), if the protocol needs an `ability`.
    stage: (what, total, unit) -> a context whose value is called with the units just done, for work of more than
    seconds. groups: key -> group of the scored split's samples, empty where the data has none. with_pictures: whether
    pictures among the samples are kept, and so worth their time.
    """

    images: Mapping[str, Features]
    encode_texts: Callable[[Sequence[str]], NDArray[Any]] | None = None
    class_names: Sequence[str] | None = None
    templates: Sequence[str] | None = None
    prompts_source: str | None = None
    classes: Sequence[int] | None = None
    by_language: Mapping[str, Prompts] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    image_side: int = 0
    annotations: Mapping[str, Sequence[Annotation]] = field(default_factory=dict)
    predictions: Mapping[Any, Any] | None = None
    stage: Stage = Progress().stage
    groups: Mapping[str, str] = field(default_factory=dict)
    count_tokens: Callable[[Sequence[str]], Sequence[int] | None] = lambda _: None
    context_length: int | None = None
    with_pictures: bool = False


@dataclass(frozen=True)
class Scores:
    """What a protocol returns.

    primary: the name of the metric by which models are ranked. samples: column -> one entry per scored sample, with a
    column `key`; the columns of numbers are kept beside the record and paired by `compare`, all are written by
    --log-samples. details: anything else that a reader needs, such as the chosen lambda. bytes_per_embedding: of an
    image as it was compared, None for a row of the features.
    """

    metrics: Sequence[Metric]
    primary: str
    samples: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    bytes_per_embedding: int | None = None


@dataclass(frozen=True)
class Control:
    """What a protocol gives for features that are known to hold all that it looks for (positive), or nothing of it.

    bound: the least value of a positive control, and the most of a negative one, if the protocol can be believed.
    curve: the value's parts, as the protocol's own details have them.
    """

    name: str
    positive: bool
    metric: str
    value: float
    num_scored: int
    bound: float
    curve: Sequence[Mapping[str, Any]] = ()

    @property
    def holds(self) -> bool:
        """Whether the value is on its side of the bound."""
        return self.value >= self.bound if self.positive else self.value <= self.bound


NO_GROUPS = (
    "compares groups: got a data set without any, expected a column `group` in a table, or for a webdataset `group` "
    "under `dataset:` in a task file"
)
"""The end of a sentence about what needs groups."""


@dataclass(frozen=True)
class Needs:
    """What a protocol needs from a model and its data besides image features.

    texts: the model's text tower. class_prompts: class names and templates; class_names, templates: those to use
    instead of the data set's own, see data/prompts.py. text_encoder: spec of another model whose text tower is used
    instead of the model's own. ood: reference or name of another data set, whose images are the split `ood`. groups:
    whether the data must say to which group each of its samples belongs. ability: what the model itself does with the
    scored split (`segment` or `answer`), None for features only. prompt: the text around a question. max_new_tokens:
    the length of an answer. languages: data with captions in several languages. language: of the class prompts, None
    for the data set's own; translations: whose they are.
    """

    texts: bool = False
    class_prompts: bool = False
    class_names: str | Sequence[str] | None = None
    templates: str | Sequence[str] | None = None
    text_encoder: str | None = None
    ood: str | None = None
    groups: bool = False
    ability: str | None = None
    prompt: str = "{question}"
    max_new_tokens: int = 32
    languages: bool = False
    language: str | None = None
    translations: Translations = "babel-imagenet"


@dataclass(frozen=True)
class Elsewhere:
    """How others name what a protocol measures.

    tasks: of Papers with Code, which list its numbers; without any, the protocol's own name is used. metrics: (pattern
    of a metric's whole name, its name there), where that is not the one that all protocols share. board: the name of a
    board there, for protocols that share a task and a data set with another. num_params: whether a row there also has
    the number of parameters. hub_task: the task type of the Hugging Face hub; empty for the protocol's own name.
    """

    tasks: tuple[str, ...] = ()
    metrics: tuple[tuple[str, str], ...] = ()
    board: str = "{dataset}"
    num_params: bool = False
    hub_task: str = ""


S = TypeVar("S", bound=BaseModel)


class Protocol(Generic[S]):
    """A way of scoring an encoder. It never imports encoders, and knows data only by its kind and splits.

    name: the first part of its tasks' names. version: raised when its numbers change, part of a record's identity.
    Settings: the model of its settings, with defaults, which a class names as the argument of its base. kinds: the
    kinds of data set that it can use. takes_predictions: whether it can score predictions that another program saved,
    without features. dialects: name -> how another source
    measures the same, chosen by the setting `dialect`. factors: setting -> the values that public sources use, first
    the default; `explain` tries their combinations. swept: setting that a request may give a list of values, each of
    which makes a record -> the values that the word `curve` means.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    Settings: type[S]
    kinds: ClassVar[tuple[Kind, ...]]
    takes_predictions: ClassVar[bool] = False
    dialects: ClassVar[Mapping[str, ProtocolDialect]] = {}
    factors: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    swept: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    def __init_subclass__(cls) -> None:
        """Take the model of the settings from the class's own base, such as Protocol[MySettings]."""
        super().__init_subclass__()
        bases = cls.__dict__.get("__orig_bases__", ())
        models = [each for base in bases for each in get_args(base) if isinstance(each, type)]
        if models and "Settings" not in cls.__dict__:
            cls.Settings = models[0]

    def needs(self, settings: S) -> Needs:
        """Return what it needs besides features."""
        return Needs()

    def requests(self, settings: S, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return role -> features, given the dataset's splits. Raises IncompatibleError if a split is missing."""
        raise NotImplementedError

    def scored_split(self, settings: S, splits: Sequence[str]) -> str:
        """Return the split whose items are scored."""
        requests = self.requests(settings, splits)
        return requests.get("test", list(requests.values())[-1]).split

    def check_annotations(self, settings: S, split: str, annotations: Sequence[Annotation]) -> None:
        """Raise IncompatibleError if the annotations of the scored split lack the truth to score against."""

    def for_model(self, settings: S, info: EncoderInfo) -> S:
        """Return the settings with every choice that depends on the model made, such as `mode: auto`.

        Raises IncompatibleError if the model cannot be scored with them.
        """
        return settings

    def for_predictions(self, settings: S) -> S:
        """Return the settings for predictions that another program made."""
        return settings

    def read_predictions(self, path: Path, annotations: Sequence[Annotation]) -> Mapping[Any, Any]:
        """Read saved predictions by the id of their annotation, if `takes_predictions`. Raises DataError if the file is
        wrong."""
        raise NotImplementedError

    def submission(self, predictions: Mapping[Any, Any]) -> Sequence[Mapping[str, Any]]:
        """Return predictions in the form of the benchmark's own server. Raises IncompatibleError if it has none."""
        raise IncompatibleError(f"{self.name} has no benchmark server that takes predictions")

    def score(self, settings: S, inputs: Inputs) -> Scores:
        """Return the scores. Pure: the same inputs give the same scores."""
        raise NotImplementedError

    def controls(self, settings: S, inputs: Inputs) -> list[Control]:
        """Return what the protocol gives for features of known contents, on the same items; none for a protocol that
        learns nothing. They depend on the data, the settings and the seed, never on the model, and take seconds."""
        return []

    # names in outputs

    elsewhere: ClassVar[Elsewhere] = Elsewhere()
    """Its names outside of this package."""
    picture_side: ClassVar[int | None] = None
    """Longest side in pixels of the pictures of its samples; None where samples have no pictures."""
    usual_settings: ClassVar[tuple[tuple[str, Any], ...]] = ()
    """(setting, value): what `for_model` makes of a default for most models of papers; outputs do not name it."""
    shows_all_metrics: ClassVar[bool] = False
    """Whether papers print all of its metrics, which then a summary shows, and not the primary one alone."""
    averages_metrics: ClassVar[bool] = False
    """Whether papers print the mean over its tasks although these rank by different metrics."""

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """The metrics that a summary or a leaderboard shows, of those of a record."""
        return [name for name in names if self.shows_all_metrics or name == primary]

    def primary(self, settings: Mapping[str, Any], kind: Kind | None) -> str | None:
        """The metric that a task ranks by, where its settings and its kind of data say it; None where the data does."""
        return None

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """Whether the seed of a record changes its values, and not only their intervals."""
        return False
