"""Tracking without training: the objects of a clip's first frame are followed by label propagation (propagation.py).

Semi-supervised task of DAVIS 2017, by which DINO, PE-Spatial, DINOv3 and others report patch features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from mlcd_eval.data.annotations import Clip
from mlcd_eval.metrics.tracking import TRACKING
from mlcd_eval.protocols.base import Elsewhere, Features, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.shared.brief import brief_metrics
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.plain_patches import colours
from mlcd_eval.protocols.shared.scored import every_and_readable, patches_of_one_split
from mlcd_eval.protocols.tracking.outcomes import columns_of, late_objects, still, values_by_clip


class TrackingSettings(FramedSettings):
    """split: that is scored, by default test, or val where there is none. frames: before the one that is labelled,
    besides the first; near: rows and columns of patches within which others are looked at; k: how many are mixed;
    temperature: that their cosines are divided by. Defaults are DINO's."""

    split: str | None = None
    layer: Literal["patches", "projected_patches"] = "patches"
    frames: NonNegativeInt = 7
    near: NonNegativeInt = 12
    k: PositiveInt = 5
    temperature: PositiveFloat = 0.1


ELSEWHERE = Elsewhere(
    tasks=("Semi-Supervised Video Object Segmentation",),
    metrics=(("jf_mean", "J&F"), ("j_mean", "Jaccard (Mean)"), ("f_mean", "F-measure (Mean)")),
    hub_task="video-segmentation",
)


class Tracking(Protocol[TrackingSettings]):
    """An object is one that the first frame's mask numbers; it is scored on all frames but the first and the last.

    Details: J&F of each clip, objects that appear later, which are not scored, and what patches with their true labels,
    standing still and colour alone score.
    """

    name = "tracking"
    version = 1
    kinds = ("video",)
    elsewhere = ELSEWHERE

    def shown_metrics(self, names: Sequence[str], primary: str | None) -> list[str]:
        """J&F and its parts, which papers print."""
        return [name for name in names if name in ("jf_mean", "j_mean", "f_mean")]

    def requests(self, settings: TrackingSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return letterboxed patches of one split. Raises IncompatibleError if it is missing."""
        return {"test": patches_of_one_split(self.name, settings.layer, settings.split, splits, settings.frame)}

    def score(self, settings: TrackingSettings, inputs: Inputs) -> Scores:
        """Clips with a frame that cannot be read are not scored. Raises DataError where there is no other, and for
        features that are not finite."""
        from mlcd_eval.metrics.table import measure

        features = inputs.images["test"]
        check_finite(features.array, "patch features", features.keys)
        clips, scored = every_and_readable(inputs, Clip, "clip")
        unread = sum(clip.num_objects for clip in clips) - sum(clip.num_objects for clip in scored)

        def followed(clip: Clip) -> Iterator[NDArray[Any]]:
            return _followed(settings, features, clip, inputs.device)

        def by_colour(clip: Clip) -> Iterator[NDArray[Any]]:
            plain = Features(colours(clip.masks, features.layout), clip.images, frame=features.frame)
            return _followed(settings, plain, clip, inputs.device)

        def in_patches(clip: Clip) -> Iterator[NDArray[Any]]:
            from mlcd_eval.protocols.tracking.propagation import of_true_labels

            return of_true_labels((each.pixels() for each in clip.masks[1:]), clip.num_objects, features.layout)

        with inputs.stage("frames", sum(len(clip.images) - 1 for clip in scored), "frames") as advance:
            columns = columns_of(scored, followed, advance)
        blind = {"position": columns_of(scored, still), "colour": columns_of(scored, by_colour)}
        return Scores(
            metrics=[measure(name, columns, inputs.seed, unread) for name in TRACKING],
            primary="jf_mean",
            samples=columns,
            details={
                "grid": list(features.layout.grid),
                "num_clips": len(scored),
                "num_frames_scored": sum(len(clip.images) - 2 for clip in scored),
                "num_late_objects": sum(map(late_objects, scored)),
                "by_clip": values_by_clip(columns),
                "true_labels": brief_metrics(TRACKING, columns_of(scored, in_patches), inputs.seed),
                "baselines": {name: brief_metrics(TRACKING, of_name, inputs.seed) for name, of_name in blind.items()},
            },
        )


def _followed(settings: TrackingSettings, features: Features, clip: Clip, device: str) -> Iterator[NDArray[Any]]:
    """Yield the mask of each frame after the first."""
    from mlcd_eval.protocols.tracking.propagation import Propagation, propagated
    from mlcd_eval.support.resident import Rows

    rows, row_of = Rows(features.array, device, keep=False), {key: row for row, key in enumerate(features.keys)}
    frames = (rows[row_of[key] : row_of[key] + 1][0].float() for key in clip.images)
    how = Propagation(settings.frames, settings.near, settings.k, settings.temperature)
    yield from propagated(frames, clip.masks[0].pixels(), clip.num_objects, how, features.layout)
