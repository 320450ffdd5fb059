"""What of a data set is scored: which split, which annotations, and those whose images could be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from mlcd_eval.data.annotations import Annotation
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs
from mlcd_eval.protocols.frame import Frame

A = TypeVar("A")


class OfImages(Protocol):
    """What is about several images, such as a PointPair."""

    @property
    def images(self) -> tuple[str, ...]:
        """Keys of their samples."""


class VectorSettings(Protocol):
    """Settings by which one vector of each image of a split is read."""

    split: str
    layer: str
    exif: bool


Item = TypeVar("Item", bound=OfImages)


def scored_split(protocol: str, split: str | None, splits: Sequence[str]) -> str:
    """The split that is scored: the one that is set, else test, or val where there is no test. Raises IncompatibleError
    if it is missing."""
    scored = split or ("test" if "test" in splits else "val")
    if scored not in splits:
        raise IncompatibleError(f"{protocol} reads the split {scored!r}: got {', '.join(splits)}")
    return scored


def vectors_of_one_split(protocol: str, settings: VectorSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
    """The request for one split at one layer. Raises IncompatibleError if the split is missing."""
    split = scored_split(protocol, settings.split, splits)
    return {"test": ImageRequest(split, settings.layer, exif=settings.exif)}


def patches_of_one_split(
    protocol: str, layer: str, split: str | None, splits: Sequence[str], frame: Frame | None
) -> ImageRequest:
    """The request for letterboxed patches of the scored split. Raises IncompatibleError if it is missing."""
    return ImageRequest(scored_split(protocol, split, splits), layer, letterbox=True, frame=frame)


def patch_requests(
    protocol: str,
    layer: str,
    split: str | None,
    splits: Sequence[str],
    with_val: bool,
    frame: Frame | None = None,
) -> dict[str, ImageRequest]:
    """Return letterboxed patches of train, of val if it is there, asked for and not scored, and of the scored split
    (patches_of_one_split). Raises IncompatibleError if one is missing."""
    test = patches_of_one_split(protocol, layer, split, splits, frame)
    scored = test.split
    if scored_split(protocol, "train", splits) == scored:
        raise IncompatibleError(f"{protocol} learns from train: got split train to score, expected another one")
    roles = {"train": "train", **({"val": "val"} if with_val and "val" in splits and scored != "val" else {})}
    return {**{role: replace(test, split=of) for role, of in roles.items()}, "test": test}


def of_kind(annotations: Sequence[Annotation], kind: type[A]) -> list[A]:
    """Those annotations that are of a kind, such as Clip."""
    return [each for each in annotations if isinstance(each, kind)]


def readable(items: Sequence[Item], images: Features) -> list[Item]:
    """Those items whose images could all be read."""
    known = set(images.keys)
    return [item for item in items if known.issuperset(item.images)]


def every_and_readable(inputs: Inputs, kind: type[Item], what: str) -> tuple[list[Item], list[Item]]:
    """The items of a kind of the role `test`, and those whose images could all be read. Raises DataError where there is
    none of these. what: the items' name in the message."""
    every = of_kind(inputs.annotations["test"], kind)
    read = readable(every, inputs.images["test"])
    if not read:
        raise DataError(
            f"no {what} can be scored: got 0 of {len(every)} whose images can all be read, expected at least 1"
        )
    return every, read
