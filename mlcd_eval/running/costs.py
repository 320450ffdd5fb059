"""What the images of a job cost, for its record."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mlcd_eval.features.encode import Encoded
from mlcd_eval.planning.job import Job
from mlcd_eval.protocols.base import Features, Scores, View
from mlcd_eval.records.efficiency import Efficiency


def efficiency(job: Job, passes: Mapping[View, Encoded], images: Mapping[str, Features], scores: Scores) -> Efficiency:
    """Return what the job's images cost, of its passes the one that was timed longest."""
    requests = job.requests.values()
    known = [cost for each in requests if (cost := passes[each.view].efficiency.get(each.layer)) is not None]
    longest = max(known, key=lambda cost: cost.images_timed, default=Efficiency())
    array = scored_of(images).array
    size = scores.bytes_per_embedding or array.itemsize * math.prod(array.shape[1:])
    return longest.model_copy(update={"bytes_per_embedding": size})


def scored_of(images: Mapping[str, Features]) -> Features:
    """Return the features of the split that is scored."""
    return images.get("test", list(images.values())[-1])
