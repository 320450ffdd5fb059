"""Where data sets of clips keep frames and masks of numbered objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlcd_eval.data.sources.layouts import SCENES, SCENES_FORM, Layout
from mlcd_eval.data.sources.listed import words_of
from mlcd_eval.data.sources.table_columns import check_below
from mlcd_eval.data.storage.class_maps import Labelled
from mlcd_eval.data.storage.scene_files import INDEX, SceneFiles
from mlcd_eval.errors import DataError

Clips = Mapping[str, Mapping[str, Sequence[Labelled]]]
"""Split -> clip -> its frames in order. A class is an object's number."""

VOID = 255
OBJECTS = {VOID: 0, **{number: number for number in range(VOID)}}
"""Number in a mask -> object: pixels that are void count as none, as DAVIS counts them in its semi-supervised task."""


def _davis(folder: Path) -> Clips:
    """Frames are JPEGImages/480p/CLIP/00000.jpg, masks Annotations/480p/CLIP/00000.png (Pont-Tuset et al. 2017)."""
    splits: dict[str, dict[str, list[Labelled]]] = {}
    for split in ("train", "val"):
        names = folder / _LISTS / f"{split}.txt"
        if names.is_file():
            splits[split] = {}
            for (name,) in words_of(names, 1):
                check_below(folder / "JPEGImages", name, names)
                splits[split][name] = _frames(folder, name)
    if not splits:
        raise DataError(f"{folder / _LISTS} names no clips, expected train.txt or val.txt")
    return splits


_LISTS = "ImageSets/2017"


def _frames(folder: Path, clip: str) -> list[Labelled]:
    images, masks = folder / "JPEGImages" / "480p" / clip, folder / "Annotations" / "480p" / clip
    places = {"jpg": images, "png": masks}
    there = {kind: {path.stem for path in where.glob(f"*.{kind}")} for kind, where in places.items()}
    stems = sorted(there["jpg"] | there["png"])
    if not stems:
        raise DataError(f"clip {clip!r} has no frames: got none in {images}, expected 00000.jpg and others")
    if not all(stem.isascii() and stem.isdigit() for stem in stems):
        wrong = next(stem for stem in stems if not (stem.isascii() and stem.isdigit()))
        raise DataError(f"clip {clip!r} has a frame {wrong!r}, expected numbers such as 00000")
    width = len(stems[0])
    for number in range(int(stems[0]), int(stems[-1]) + 1):
        stem = f"{number:0{width}}"
        for kind, where in places.items():
            if stem not in there[kind]:
                what = "frame" if kind == "jpg" else "mask of frame"
                raise DataError(
                    f"clip {clip!r} lacks the {what} {stem}: there is no file {where / stem}.{kind}, expected one for "
                    f"each number from {stems[0]} to {stems[-1]}"
                )
    return [Labelled(f"{clip}/{stem}", images / f"{stem}.jpg", masks / f"{stem}.png", OBJECTS, clip) for stem in stems]


def _scenes(folder: Path) -> Clips:
    """The bundled clips: scenes of the split `clips`, of which each view is a frame."""
    files = SceneFiles(folder)
    scenes = files.splits.get("clips", [])
    contents = files.contents("clips") if scenes else {}
    clips = {
        scene.name: [
            Labelled(
                f"{scene.name}/{frame:02}",
                files.member(contents, f"{scene.name}/{frame}.webp"),
                files.member(contents, f"{scene.name}/{frame}.instances.png"),
                {number: number for number in range(len(scene.things) + 1)},
                scene.name,
            )
            for frame in range(len(scene.cameras))
        ]
        for scene in scenes
    }
    if not clips:
        raise DataError(f"{folder} has no clips: {INDEX} has no scene of the split 'clips', expected some")
    return {"test": clips}


LAYOUTS: Mapping[str, Layout[Clips]] = {
    SCENES: Layout(SCENES_FORM, (INDEX,), _scenes),
    "davis": Layout("JPEGImages/480p, Annotations/480p and ImageSets/2017", (_LISTS,), _davis),
}
"""In the order in which they are recognised."""
