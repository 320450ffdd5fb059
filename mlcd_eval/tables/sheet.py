"""The picture sheet of referring-expression segmentation: the best, median and worst samples, in one file."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.images import decode
from mlcd_eval.fileio import write_text
from mlcd_eval.locate import expand, open_located
from mlcd_eval.plan import RunRequest
from mlcd_eval.records import Result, ResultStore
from mlcd_eval.spec import TaskIndex
from mlcd_eval.tables.evidence import chosen
from mlcd_eval.tables.page import template

FEW = 4
LONGEST_SIDE = 320  # pixels of a picture
TRUTH, PREDICTION = (0, 220, 255), (255, 0, 200)  # cyan and magenta: rare in photographs


def write_sheets(results: Iterable[Result], request: RunRequest) -> None:
    """Beside the samples file of each refcoco record; raises UserError for data that is no longer there."""
    store = ResultStore(request.output)
    drawn = [result for result in results if result.task.protocol == "refcoco" and result.status == "ok"]
    if not drawn:
        return
    located = {
        task.name: (task, ref) for word in request.tasks for task, ref in expand(word, request, TaskIndex.load())
    }
    for result in drawn:
        task, ref = located[result.task.name]
        samples = store.samples_path(result)
        with samples.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        write_text(samples.with_suffix(".html"), sheet(result, rows, open_located(ref, task.dataset, request)))


def sheet(result: Result, rows: Sequence[Mapping[str, Any]], dataset: Dataset) -> str:
    """The page for the rows of a samples file, whose images are in the dataset; FEW of each kind by IoU."""
    kinds: dict[str, list[Mapping[str, Any]]] = {"best": [], "median": [], "worst": []}
    for kind, (_, row) in chosen([(row["iou"], row) for row in rows], FEW):
        kinds[kind].append(row)
    images = _images(dataset, result.dataset.split, {row["image"] for found in kinds.values() for row in found})
    return template("sheet.html.jinja").render(
        result=result,
        kinds={
            kind: [{**row, "pictures": _pictures(row, images[row["image"]])} for row in found]
            for kind, found in kinds.items()
            if found
        },
        colours={"truth": _css(TRUTH), "prediction": _css(PREDICTION)},
    )


def _images(dataset: Dataset, split: str, keys: set[str]) -> dict[str, Image.Image]:
    """By key, made small."""
    found = {}
    for shard in dataset.split(split).shards:
        for sample in shard.samples():
            if sample.key in keys:
                found[sample.key] = decode(sample.image, sample.key)
                found[sample.key].thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    assert found.keys() == keys, "every sample has its image in the split"
    return found


def _pictures(row: Mapping[str, Any], image: Image.Image) -> list[dict[str, Any]]:
    """The image alone, with the truth's outline, and with the prediction laid over it."""
    truth, prediction = (int(coco.area(row[side])) for side in ("truth", "prediction"))
    plain = np.asarray(image)
    pictures = [
        ("image", plain, f"image {row['image']}"),
        ("truth", _outlined(plain, _small(row["truth"], image.size), TRUTH), f"truth outlined, {truth:,} pixels"),
        (
            "prediction",
            _overlaid(plain, _small(row["prediction"], image.size)),
            f"predicted mask, {prediction:,} pixels",
        ),
    ]
    empty = {"image": False, "truth": truth == 0, "prediction": prediction == 0}
    return [
        {"name": f"{name}: empty" if empty[name] else name, "alt": alt, "uri": _uri(pixels), "size": image.size}
        for name, pixels, alt in pictures
    ]


def _small(rle: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """A mask as bool (h, w) at a picture's size (width, height)."""
    mask = Image.fromarray(255 * coco.decode(rle))
    return np.asarray(mask.resize(size, Image.Resampling.BOX)) > 127


def _outlined(pixels: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A line of two pixels inside the mask's edge, and a black one around it, to be seen on any ground."""
    drawn = pixels.copy()
    drawn[_grown(mask) & ~mask] = 0
    drawn[mask & _grown(_grown(~mask))] = colour
    return drawn


def _overlaid(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    drawn = pixels.copy()
    drawn[mask] = pixels[mask] // 2 + np.array(PREDICTION, np.uint8) // 2
    return _outlined(drawn, mask, PREDICTION)


def _grown(mask: np.ndarray) -> np.ndarray:
    """By one pixel up, down, left and right."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _uri(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _css(colour: tuple[int, int, int]) -> str:
    return f"rgb({', '.join(map(str, colour))})"
