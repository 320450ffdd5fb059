"""Which columns of a Hugging Face dataset are images, labels and captions, and a row as a Sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.data.base import EncodedImage, Kind, Sample
from mlcd_eval.data.labels import LabelRange
from mlcd_eval.data.scheme import Options
from mlcd_eval.errors import ConfigError, DataError, nearest

_LABEL_COLUMNS = ("label", "labels", "cls", "class")  # of integers; a ClassLabel may have any name
_TEXT_COLUMNS = ("captions", "caption", "texts", "text", "sentences", "sentence")


@dataclass(frozen=True)
class Columns:
    """target: the column of labels or captions. listed_classes: a label is the list of the classes in the image."""

    kind: Kind
    image: str
    target: str
    class_names: tuple[str, ...] | None
    listed_classes: bool

    def select(self, dataset: Any) -> Any:
        """The two columns, with images left encoded."""
        from datasets import Image

        return dataset.select_columns([self.image, self.target]).cast_column(self.image, Image(decode=False))

    def samples(self, rows: Any, part: range, where: str) -> Iterator[Sample]:
        """The rows `part` of a dataset that `select` returned; raises DataError for a row without image or target."""
        labels = LabelRange(len(self.class_names) if self.class_names else None)
        for number, row in zip(part, rows.select(part), strict=True):
            here = f"row {number} of {where}"
            image, target = _image(row[self.image], here), row[self.target]
            if target is None:
                raise DataError(f"{here} has nothing in column {self.target!r}, expected a label or caption")
            if self.kind == "retrieval":
                texts = tuple(
                    text for text in ([target] if isinstance(target, str) else target) if text and text.strip()
                )
                if not texts:
                    raise DataError(f"{here} has no caption in column {self.target!r}, expected at least one")
                yield Sample(str(number), image, texts=texts)
            elif self.kind == "classification":
                yield Sample(str(number), image, label=labels.index(target, here))
            elif self.listed_classes:
                assert labels.num_classes is not None
                present = {labels.index(label, here) for label in target}
                yield Sample(str(number), image, label=tuple(int(c in present) for c in range(labels.num_classes)))
            else:
                yield Sample(str(number), image, label=labels.multi_hot(target, here))


def _image(value: Mapping[str, Any] | None, here: str) -> EncodedImage:
    if value and value["bytes"] is not None:
        return value["bytes"]
    if value and value["path"] is not None:
        return Path(value["path"])
    raise DataError(f"{here} has no image")


def choose_columns(ref: str, features: Mapping[str, Any], options: Options) -> Columns:
    """Columns by their types, or as the options `image`, `label` and `text` say.

    image: the only one of type Image. target: the only ClassLabel (classification) or list of ClassLabel (multilabel,
    the classes in the image); else integers (classification) or lists of integers (multilabel, multi-hot) in a
    column named like a label; else strings or lists of strings in a column named like a caption (retrieval).
    Raises ConfigError where that is not one choice.
    """
    from datasets import ClassLabel, Image

    for option in ("image", "label", "text"):
        if option in options and options[option] not in features:
            column = options[option]
            raise ConfigError(
                f"{ref} has no column {column!r} for {option}: got {', '.join(features)}{nearest(column, features)}"
            )
    if "label" in options and "text" in options:
        raise ConfigError(f"{ref} is given both label and text, expected one of them")
    image = options.get("image") or _only(
        [column for column, feature in features.items() if isinstance(feature, Image)], ref, "image", features
    )
    if not isinstance(features[image], Image):
        raise ConfigError(f"column {image!r} of {ref} holds no images: got {features[image]}")
    target = options.get("label") or options.get("text") or _only(_targets(features), ref, "label or text", features)
    feature = features[target]
    listed = _element(feature) is not feature
    if isinstance(_element(feature), ClassLabel) and "text" not in options:
        names = tuple(_element(feature).names)
        if not all(isinstance(name, str) for name in names):
            raise DataError(f"column {target!r} of {ref} has class names that are no text: got {names[:3]}")
        return Columns("multilabel" if listed else "classification", image, target, names, listed)
    if _is(feature, "string") and "label" not in options:
        return Columns("retrieval", image, target, None, False)
    if _is(feature, "int") and "text" not in options:
        return Columns("multilabel" if listed else "classification", image, target, None, False)
    raise ConfigError(f"column {target!r} of {ref} holds neither labels nor captions: got {feature}")


def _targets(features: Mapping[str, Any]) -> list[str]:
    """The columns that may be the target, of the best sort that there is."""
    from datasets import ClassLabel

    classes = [column for column, feature in features.items() if isinstance(_element(feature), ClassLabel)]
    labels = [column for column in _LABEL_COLUMNS if column in features and _is(features[column], "int")]
    texts = [column for column in _TEXT_COLUMNS if column in features and _is(features[column], "string")]
    return classes or labels or texts


def _element(feature: Any) -> Any:
    """The feature of a list's items, or the feature itself."""
    return getattr(feature, "feature", feature)


def _is(feature: Any, dtype: str) -> bool:
    """Whether it is a plain value of such a type (int64, string, large_string), or a list of those."""
    return dtype in str(getattr(_element(feature), "dtype", ""))


def _only(columns: list[str], ref: str, what: str, features: Mapping[str, Any]) -> str:
    if len(columns) != 1:
        got = ", ".join(columns) if columns else f"none among {', '.join(features)}"
        options = " or ".join(f"?{option}=COLUMN" for option in what.split(" or "))
        raise ConfigError(f"{ref} needs one column of the kind {what}: got {got}, choose one by {options}")
    return columns[0]
