"""Points of the bundled scenes: an object's points that two views show, drawn from where depth and cameras put them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.data.base import Sample
from mlcd_eval.data.sources.point_layouts.part import FEWEST, Part, box_of, drawn, in_pixels
from mlcd_eval.data.storage.images import decode, size_of
from mlcd_eval.data.storage.scene_files import INDEX, Scene, SceneFiles
from mlcd_eval.data.storage.scene_geometry import View, degrees_between, inverse_depth, thing_numbers
from mlcd_eval.errors import DataError


def scenes(folder: Path) -> dict[str, Part]:
    """An item is an object in two of a scene's views, in either order. Raises DataError."""
    files = SceneFiles(folder)
    parts = {}
    for split in ("train", "val", "test"):
        contents = files.contents(split) if split in files.splits else {}
        named = [
            (f"{scene.name}/{view}", f"{scene.name}/{view}.webp")
            for scene in files.splits.get(split, ())
            for view in range(len(scene.cameras))
        ]
        if named:
            samples = [Sample(key, files.member(contents, name)) for key, name in named]
            parts[split] = Part(samples, partial(_pairs, files, split, contents))
    if not parts:
        raise DataError(f"{folder} has no scenes of the splits train, val and test, expected some in one of them")
    return parts


def _pairs(files: SceneFiles, split: str, contents: dict[str, bytes], _: Path | None) -> list[PointPair]:
    return [pair for scene in files.splits[split] for pair in _of_scene(files, scene, contents)]


def _of_scene(files: SceneFiles, scene: Scene, contents: dict[str, bytes]) -> Iterator[PointPair]:
    views = [_view(files, scene, number, contents) for number in range(len(scene.cameras))]
    for one, other in permutations(range(len(views)), 2):
        degrees = round(degrees_between(views[one], views[other]), 2)
        seen, of_thing = points_seen_twice(views[one], views[other])
        for number, thing in enumerate(scene.things, 1):
            keys = f"{scene.name}/{one}", f"{scene.name}/{other}"
            pair_id = f"{keys[0]}>{other}/{number}"
            shared = seen[of_thing == number]
            if len(shared) < FEWEST:
                continue
            chosen = shared[drawn(len(shared), pair_id)]
            pictures = [partial(decode, contents[f"{key}.webp"], key) for key in keys]
            yield PointPair(
                pair_id,
                keys,
                (views[one].size, views[other].size),
                in_pixels(chosen[:, :2], views[one].size),
                in_pixels(chosen[:, 2:], views[other].size),
                box_of(views[other].numbers == number),
                files.index.classes[thing.label],
                scene.name,
                degrees,
                (pictures[0], pictures[1]),
            )


def _view(files: SceneFiles, scene: Scene, number: int, contents: dict[str, bytes]) -> View:
    name, camera = f"{scene.name}/{number}", scene.cameras[number]
    if [len(row) for row in camera] != [4] * 4 or not np.isfinite(camera).all():
        raise DataError(
            f"{files.folder / INDEX}: the camera of {name} is {camera}, expected 4 rows of 4 finite numbers"
        )
    things, depth = f"{name}.instances.png", f"{name}.depth.png"
    numbers = thing_numbers(files.member(contents, things), f"{things} of {files.folder}")
    inverse = inverse_depth(files.member(contents, depth), files.index.depth_scale, f"{depth} of {files.folder}")
    slope = float(np.tan(np.deg2rad(files.index.fov) / 2))
    view = View(inverse, numbers, np.array(camera), (slope, slope))
    size = size_of(contents[f"{name}.webp"], name)
    if view.size != size:
        raise DataError(
            f"{things} of {files.folder} has another size than its image: got {view.size[1]} x {view.size[0]} pixels, "
            f"expected {size[1]} x {size[0]}"
        )
    return view


def points_seen_twice(one: View, other: View) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Where the points of things that both views show are in each, (N, 4): x and y as shares of the sides of `one`, in
    the middle of its depth's pixels, then of `other`; and the thing of each (N,)."""
    height, width = one.inverse.shape
    pixels = np.stack(np.divmod(np.arange(height * width), width), axis=1)
    here = (pixels[:, ::-1] + 0.5) / np.array([width, height])
    thing = one.thing_at(here)
    there, inverse = other.places(one.points(pixels))
    visible = (thing > 0) & other.shows(there, inverse)
    visible[visible] = other.thing_at(there[visible]) == thing[visible]
    return np.concatenate([here, there], axis=1)[visible], thing[visible]
