"""Images of the open set that are also among those of known classes: they are reported and left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mlcd_eval.data.contents import content_hashes
from mlcd_eval.data.open_set import OPEN_SET
from mlcd_eval.errors import DataError
from mlcd_eval.planning.job import Job
from mlcd_eval.protocols.base import Features


def shared_images(job: Job, cache: Path) -> set[str]:
    """Return the keys of the open set's images whose contents another split that the job reads has too.

    Raises DataError if all have.
    """
    splits = set(job.splits.values())
    if OPEN_SET not in splits:
        return set()
    known = {
        digest for split in splits - {OPEN_SET} for digest in content_hashes(job.dataset.split(split), cache).values()
    }
    others = content_hashes(job.dataset.split(OPEN_SET), cache)
    shared = {key for key, digest in others.items() if digest in known}
    if others and len(shared) == len(others):
        raise DataError(
            f"{job.name}: all {len(others):,} images of ood={job.needs.ood} are images of {job.dataset.name} too, "
            "expected a data set of other images"
        )
    return shared


def shared_in_words(job: Job, cache: Path) -> list[str]:
    """Return a sentence about images that are in both data sets, if there are any."""
    shared = shared_images(job, cache)
    sentence = (
        f"note: {job.name}: {len(shared):,} images of ood={job.needs.ood} are images of {job.dataset.name} too, and "
        "are left out of the open set"
    )
    return [sentence] if shared else []


def distinct(features: Features, job: Job, cache: Path) -> tuple[Features, dict[str, Any]]:
    """Return the open set's features without images of known classes, and what the record says of it."""
    shared, split = shared_images(job, cache), job.dataset.split(OPEN_SET)
    rows = [row for row, key in enumerate(features.keys) if key not in shared]
    about = {"dataset": split.dataset, "split": split.name, "num_images": len(rows), "num_shared": len(shared)}
    if len(rows) == len(features.keys):
        return features, {OPEN_SET: about}
    chosen = replace(
        features,
        array=features.array[rows],
        keys=[features.keys[row] for row in rows],
        labels=None if features.labels is None else features.labels[rows],
        texts=[features.texts[row] for row in rows],
    )
    return chosen, {OPEN_SET: about}
