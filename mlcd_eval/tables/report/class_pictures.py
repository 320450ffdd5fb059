"""What a map of classes looks like: the image, its true and predicted classes in colours, and where they differ."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlcd_eval.data.storage.class_png import of_png
from mlcd_eval.tables.report.examples import Picture
from mlcd_eval.tables.report.pictures import as_picture

NONE, BACKGROUND = (0, 0, 0), (150, 150, 150)  # pixels without a class, and those of the class of that name
RIGHT, WRONG = (60, 170, 255), (255, 120, 0)  # blue and orange: told apart by everybody
_TURN = 0.618034  # of the circle of hues from a class to the next: the golden section
_SHOWN = 6  # names in a caption


def class_pictures(row: Mapping[str, Any], image: Image.Image, names: Sequence[str]) -> list[Picture]:
    """Four pictures of a sample. names: of the classes, in their order."""
    key = row["key"]
    both = (of_png(row[side], f"{side} of {key}") for side in ("truth", "prediction"))
    truth, prediction = (shown_at(classes, image.size) for classes in both)
    plain, colours = np.asarray(image), _colours(names)
    known = truth >= 0
    wrong = known & (truth != prediction)
    share = wrong.sum() / max(1, known.sum())
    true_names, found_names = _names(truth, names), _names(np.where(known, prediction, -1), names)
    return [
        as_picture("image", f"image {key}", plain),
        as_picture(f"truth: {true_names}", f"true classes of {key}: {true_names}", _laid(plain, colours[truth])),
        as_picture(
            f"prediction: {found_names}",
            f"predicted classes of {key}: {found_names}",
            _laid(plain, colours[np.where(known, prediction, -1)]),
        ),
        as_picture(
            f"error: {share:.0%} of pixels",
            f"pixels of {key} whose class is wrong, {share:.0%}",
            _laid(plain, np.where(known[..., None], np.where(wrong[..., None], WRONG, RIGHT), NONE)),
        ),
    ]


def shown_at(classes: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    """Classes or levels (h, w, ...) at a picture's size (width, height), by the nearest pixel."""
    down, along = (
        np.floor((np.arange(shown) + 0.5) * real / shown).astype(int)
        for shown, real in zip(reversed(size), classes.shape[:2], strict=True)
    )
    return classes[np.ix_(down, along)]


def _colours(names: Sequence[str]) -> NDArray[np.uint8]:
    """(C + 1, 3): the colour of each class, and of none last."""
    rows = []
    for number, name in enumerate(names):
        hue, bright = number * _TURN % 1, (0.95, 0.75, 0.55)[number % 3]
        plain = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.85, bright))
        rows.append(BACKGROUND if name == "background" else plain)
    return np.array([*rows, NONE], np.uint8)


def _laid(plain: NDArray[np.uint8], colours: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours (h, w, 3) over the image's own brightness, so that shapes stay visible."""
    grey = plain.mean(axis=2, keepdims=True)
    return (0.7 * colours + 0.3 * grey).astype(np.uint8)


def _names(classes: NDArray[np.int32], names: Sequence[str]) -> str:
    """The classes of a map, the most frequent first."""
    numbers, counts = np.unique(classes[classes >= 0], return_counts=True)
    ordered = [names[number] if number < len(names) else str(number) for number in numbers[np.argsort(-counts)]]
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return (", ".join(ordered[:_SHOWN]) or "none") + more
