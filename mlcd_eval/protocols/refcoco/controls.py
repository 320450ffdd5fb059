"""Controls of masks from features: patches that hold the true masks, and the same patches shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel

from mlcd_eval.data.annotations import Expression
from mlcd_eval.protocols.base import Control, Features, Inputs, Protocol
from mlcd_eval.support.progress import Progress

TRAIN, TEST = 240, 80  # sentences
SENTENCES = 4  # of an image, each with its own part of a patch's features
SHAPES = {"probe": (8, 8), "zeroshot": (32, 1)}
"""Mode -> patches on a side of an image, and cells of the mask on a side of a patch."""
NOISE, EMPTY = 0.05, 128  # deviation, and features of a patch that hold nothing else
LEAST, MARGIN = 0.5, 0.1  # of overall IoU: in true masks, and in noise above the best mask that ignores the image
METRIC = "overall_iou"


def mask_controls(protocol: Protocol[Any], settings: BaseModel, inputs: Inputs, mode: str) -> list[Control]:
    """Return the overall IoU where a patch holds what each sentence's mask covers of it and the text says where in the
    patch's features that is, and where these patches are shuffled."""
    shape = SHAPES[mode]
    chance = np.random.default_rng(inputs.seed)
    sentences: dict[str, list[Expression]] = {}
    places: dict[str, list[int]] = {}
    held: dict[str, tuple[list[str], np.ndarray]] = {}
    for role, most in (("train", TRAIN), ("test", TEST)):
        sentences[role], places[role] = _some(inputs, role, most)
        held[role] = _patches(sentences[role], places[role], shape, chance)
    if not all(sentences.values()):
        return []
    place_of = {f"{role} {number}": place for role in places for number, place in enumerate(places[role])}
    annotations = {
        role: [replace(each, text=f"{role} {number}") for number, each in enumerate(of_role)]
        for role, of_role in sentences.items()
    }

    def scored(name: str, positive: bool) -> Control:
        images = {role: Features(array, keys) for role, (keys, array) in held.items()}
        if not positive:
            images = {role: replace(each, array=_shuffled(each.array, chance)) for role, each in images.items()}
        known = replace(
            inputs,
            images=images,
            annotations=annotations,
            encode_texts=lambda texts: np.stack([_text(place_of[text], shape) for text in texts]),
            stage=Progress().stage,
        )
        scores = protocol.score(settings, known)
        metric = next(metric for metric in scores.metrics if metric.name == METRIC)
        blind = max(value or 0.0 for value in scores.details["baselines"].values())
        bound = LEAST if positive else blind + MARGIN
        return Control(name, positive, METRIC, metric.value or 0.0, metric.num_scored or 0, bound)

    return [scored("true masks in patches", True), scored("shuffled patches", False)]


def _some(inputs: Inputs, role: str, most: int) -> tuple[list[Expression], list[int]]:
    """Return sentences with a target, and which of its image's sentences each is, below SENTENCES."""
    of_image: dict[str, int] = {}
    chosen: list[Expression] = []
    places: list[int] = []
    for each in inputs.annotations[role]:
        place = of_image.get(each.image, 0) if isinstance(each, Expression) else SENTENCES
        if isinstance(each, Expression) and place < SENTENCES and getattr(each, "has_target", True):
            of_image[each.image] = place + 1
            chosen.append(each)
            places.append(place)
    return chosen[:most], places[:most]


def _patches(
    sentences: Sequence[Expression], places: Sequence[int], shape: tuple[int, int], chance: np.random.Generator
) -> tuple[list[str], np.ndarray]:
    """Return the images' keys and patches (N, h, w, D): what of each cell each sentence's mask covers, and what no mask
    covers."""
    from mlcd_eval.protocols.refcoco.square import to_square

    grid, cells = shape
    row = {key: number for number, key in enumerate(dict.fromkeys(each.image for each in sentences))}
    patches = np.zeros((len(row), grid, grid, SENTENCES, cells**2))
    masks = to_square([each.truth for each in sentences], grid * cells).numpy()
    for each, place, mask in zip(sentences, places, masks, strict=True):
        of_patch = mask.reshape(grid, cells, grid, cells).transpose(0, 2, 1, 3)
        patches[row[each.image], :, :, place] = of_patch.reshape(grid, grid, cells**2)
    rest = 1 - patches.max(axis=3).mean(axis=3, keepdims=True)
    empty = np.zeros((*patches.shape[:3], EMPTY))
    every = np.concatenate([patches.reshape(*patches.shape[:3], -1), rest, empty], axis=3)
    return list(row), (every + NOISE * chance.normal(size=every.shape)).astype(np.float32)


def _text(place: int, shape: tuple[int, int]) -> np.ndarray:
    text = np.zeros((SENTENCES, shape[1] ** 2), np.float32)
    text[place] = 1
    return np.append(text.ravel(), np.zeros(1 + EMPTY, np.float32))


def _shuffled(patches: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    flat = patches.reshape(-1, patches.shape[-1])
    return chance.permutation(flat).reshape(patches.shape)
