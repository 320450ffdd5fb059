"""What is reported of clips whose objects were followed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Clip
from mlcd_eval.metrics.tracking import TRACKING, boundary_accuracy, over_frames, region_similarity
from mlcd_eval.support.progress import Advance

Columns = dict[str, list[Any]]
Follow = Callable[[Clip], Iterable[NDArray[Any]]]
"""A clip -> the mask (height, width) of each frame after the first."""


def columns_of(clips: Sequence[Clip], follow: Follow, advance: Advance = lambda _: None) -> Columns:
    """Columns of samples (metrics/tracking.py), an entry per object. advance: called with the frames just done."""
    columns: Columns = {name: [] for name in ("key", "unit", "frames", *TRACKING)}
    for clip in clips:
        values = np.array([_of_frame(clip, *each, advance) for each in enumerate(follow(clip), 1)])  # (T - 1, O, 2)
        for number, of_object in enumerate(values[:-1].transpose(1, 2, 0), 1):  # the last frame is not scored
            regions, boundaries = (over_frames(each) for each in of_object)
            columns["key"].append(f"{clip.clip_id}/{number}")
            columns["unit"].append(clip.clip_id)
            columns["frames"].append(of_object.shape[1])
            columns["jf_mean"].append((regions.mean + boundaries.mean) / 2)
            for letter, each in (("j", regions), ("f", boundaries)):
                for name, value in each._asdict().items():
                    columns[f"{letter}_{name}"].append(value)
    return columns


def _of_frame(clip: Clip, frame: int, found: NDArray[Any], advance: Advance) -> list[tuple[float, float]]:
    """J and F of each object in a frame."""
    truth = clip.masks[frame].pixels()
    objects = [(found == number, truth == number) for number in range(1, clip.num_objects + 1)]
    advance(1)
    return [(region_similarity(*masks), boundary_accuracy(*masks)) for masks in objects]


def still(clip: Clip) -> list[NDArray[np.int16]]:
    """The masks where nothing moves."""
    return [clip.masks[0].pixels()] * (len(clip.images) - 1)


def late_objects(clip: Clip) -> int:
    """How many numbers above those of the first frame later masks have."""
    later = {number for mask in clip.masks[1:] for number in np.unique(mask.pixels()).tolist()}
    return len([number for number in later if number > clip.num_objects])


def values_by_clip(columns: Columns) -> dict[str, float]:
    """Clip -> the mean J&F of its objects."""
    return {
        clip: float(
            np.mean([value for of, value in zip(columns["unit"], columns["jf_mean"], strict=True) if of == clip])
        )
        for clip in dict.fromkeys(columns["unit"])
    }
