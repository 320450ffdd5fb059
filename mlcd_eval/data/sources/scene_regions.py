"""The things in the views of the bundled scenes, or of others in their layout: each thing's mask in each view."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from mlcd_eval.data.annotations import ClassMap, Region
from mlcd_eval.data.base import Sample
from mlcd_eval.data.sources.region_set import Part, RegionSet
from mlcd_eval.data.storage.class_maps import Labelled, class_maps
from mlcd_eval.data.storage.rows import file_split
from mlcd_eval.data.storage.scene_files import INDEX, Scene, SceneFiles
from mlcd_eval.errors import DataError


def scene_regions(folder: Path, name: str) -> RegionSet:
    """The data set of a folder. Its classes are those of the index without the first, which is the background."""
    files = SceneFiles(folder)
    known = (split for split in ("train", "val", "test") if split in files.splits)
    parts: dict[str, Callable[[], Part]] = {split: partial(_part, files, split, name) for split in known}
    return RegionSet(name, parts, tuple(files.index.classes[1:]))


def _part(files: SceneFiles, split: str, dataset: str) -> Part:
    contents = files.contents(split)
    rows, scene_of = [], {}
    for scene in files.splits[split]:
        for view in range(len(scene.cameras)):
            key = f"{scene.name}/{view}"
            numbers = {number: number for number in range(len(scene.things) + 1)}
            image, mask = (files.member(contents, f"{key}.{end}") for end in ("webp", "instances.png"))
            rows.append(Labelled(key, image, mask, numbers, scene.name))
            scene_of[key] = scene

    def regions() -> list[Region]:
        return [region for each in class_maps(rows, None) for region in _things(each, scene_of[each.image], files)]

    return Part(file_split(dataset, split, [Sample(row.key, row.image) for row in rows], None), regions)


def _things(view: ClassMap, scene: Scene, files: SceneFiles) -> list[Region]:
    """The things that a pixel of a view shows; the view's classes are their numbers from 1."""
    from mlcd_eval.metrics.segmentation import encode

    numbers, regions = view.pixels(), []
    for number, thing in enumerate(scene.things, 1):
        rows, columns = np.nonzero(numbers == number)
        if thing.label == 0:
            raise DataError(f"{files.folder / INDEX}: {scene.name} has a thing of class 0, which is the background")
        if len(rows):
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            regions.append(
                Region(
                    image=view.image,
                    region_id=f"{view.image}/{number}",
                    label=thing.label - 1,
                    size=view.size,
                    box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                    area=float(len(rows)),
                    truth=encode(numbers == number),
                    thing=f"{scene.name}/{number}",
                    unit=view.unit,
                    picture=view.picture,
                )
            )
    return regions
