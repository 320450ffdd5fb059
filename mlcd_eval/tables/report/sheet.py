"""The picture sheet of a task whose samples are about images: the best, median and worst of them, in one file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.planning.select import Selection
from mlcd_eval.records import Result, ResultStore
from mlcd_eval.request import RunRequest
from mlcd_eval.support.fileio import write_text
from mlcd_eval.tables.lookup import protocol_named
from mlcd_eval.tables.report.class_pictures import class_pictures
from mlcd_eval.tables.report.examples import Picture, Row, as_examples, pick
from mlcd_eval.tables.report.page import template
from mlcd_eval.tables.report.pictures import as_picture
from mlcd_eval.tables.report.trainings import json_lines
from mlcd_eval.tables.report.value_pictures import value_pictures
from mlcd_eval.tables.text import shown

CLASS_IOU = "class_iou"
"""Of the details of a record: the IoU of each class, of a protocol whose samples are maps of classes."""
TRUTH, PREDICTION = (0, 220, 255), (255, 0, 200)  # cyan and magenta: rare in photographs


def write_sheets(results: Iterable[Result], request: RunRequest) -> None:
    """One sheet beside the samples file of each record whose protocol has pictures; raises UserError for data that is
    no longer there."""
    store = ResultStore(request.output)
    drawn = [result for result in results if result.status == "ok" and _side(result) is not None]
    if not drawn:
        return
    selection = Selection(request)
    tasks = {task.name: task for word in request.tasks for task in selection.tasks(word)}
    for result in drawn:
        samples = store.samples_path(result)
        rows = list(json_lines(samples))
        write_text(samples.with_suffix(".html"), sheet(result, rows, selection.open(tasks[result.name])))


def sheet(result: Result, rows: Sequence[Row], dataset: Dataset) -> str:
    """The page for the rows of a samples file; dataset: holds their images."""
    picked, side = pick(rows), _side(result)
    assert picked and side, "every sample has a score, and its protocol pictures"
    score, kinds = picked
    rows_shown = list(chain(*kinds.values()))
    images = small_images(dataset, result.dataset.split, {_image_of(row) for row in rows_shown}, side)
    pictures = {str(row["key"]): _pictures(result, row, images[_image_of(row)]) for row in rows_shown}
    examples = as_examples(result, score, kinds, pictures)
    return template("sheet.html.jinja").render(result=result, examples=examples, value=_value(result.primary))


def _value(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return "none"
    return f"{shown(metric.value, metric.unit)} {'per cent' if metric.unit == 'fraction' else metric.unit}"


def _image_of(row: Row) -> str:
    """The image that a sample is about: itself, unless it is a sentence or question."""
    return str(row.get("image", row["key"]))


def _side(result: Result) -> int | None:
    return protocol_named(result.task.protocol).picture_side


def small_images(dataset: Dataset, split: str, keys: Collection[str], side: int) -> dict[str, Image.Image]:
    """The images of these keys, the longest side reduced to `side` pixels; raises DataError for a key of no image."""
    images: dict[str, Image.Image] = {}
    for sample in chain.from_iterable(shard.samples() for shard in dataset.split(split).shards):
        if len(images) == len(keys):
            break
        if sample.key in keys:
            images[sample.key] = decode(sample.image, sample.key)
            images[sample.key].thumbnail((side, side))
    missing = next((key for key in keys if key not in images), None)
    if missing is not None:
        raise DataError(f"{dataset.name} has no image {missing!r} in split {split!r}, of which a record has an outcome")
    return images


def _pictures(result: Result, row: Row, image: Image.Image) -> list[Picture]:
    """What is said of an image's pixels, beside it; for an expression the image, with the outline of the truth, and
    with the prediction laid over it; for a question the image alone."""
    if CLASS_IOU in result.details:
        return class_pictures(row, image, list(result.details[CLASS_IOU]))
    if "error" in row:
        return value_pictures(row, image)
    plain = np.asarray(image)
    if "expression" not in row:
        return [as_picture("page", f"page {row['image']}", plain)]
    truth, prediction = (int(coco.area(row[side])) for side in ("truth", "prediction"))
    outlined = _outlined(plain, _small(row["truth"], image.size), TRUTH)
    overlaid = _overlaid(plain, _small(row["prediction"], image.size))
    asked = f"{row['expression']}: "
    return [
        as_picture("image", f"{asked}image {row['image']}", plain),
        as_picture("truth" if truth else "truth: empty", f"{asked}truth outlined, {truth:,} pixels", outlined),
        as_picture(
            "prediction" if prediction else "prediction: empty",
            f"{asked}predicted mask, {prediction:,} pixels",
            overlaid,
        ),
    ]


def _small(rle: Row, size: tuple[int, int]) -> np.ndarray:
    """A mask as bool (h, w) at a picture's size (width, height)."""
    mask = Image.fromarray(255 * coco.decode(rle))
    return np.asarray(mask.resize(size, Image.Resampling.BOX)) > 127


def _outlined(pixels: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A line of two pixels inside the mask's edge and a black line around it, visible on any background."""
    drawn = pixels.copy()
    drawn[_grown(mask) & ~mask] = 0
    drawn[mask & _grown(_grown(~mask))] = colour
    return drawn


def _overlaid(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    drawn = pixels.copy()
    drawn[mask] = pixels[mask] // 2 + np.array(PREDICTION, np.uint8) // 2
    return _outlined(drawn, mask, PREDICTION)


def _grown(mask: np.ndarray) -> np.ndarray:
    """The mask, wider by one pixel up, down, left and right."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
