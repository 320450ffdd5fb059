"""Whether ranks see the same things, before they share work that would be worthless otherwise."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlcd_eval import __version__
from mlcd_eval.data.base import fingerprint
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import ConfigError
from mlcd_eval.planning.job import Job
from mlcd_eval.request import HERE, RunRequest
from mlcd_eval.support.distributed import broadcast_object, gather_objects, parallel, rank

LAG = 10.0  # seconds that a file may take from one machine to another


def check_ranks_agree(request: RunRequest, encoders: Iterable[Encoder], jobs: Iterable[Job]) -> None:
    """Raise ConfigError on every rank if ranks differ in model, data, settings or version, or share no cache.

    Every rank must call this.
    """
    if not parallel():
        return
    here = {*HERE, "data_root", "datasets"}  # data is compared by what it holds
    facts = {"version of mlcd_eval": __version__, "request": request.model_dump_json(exclude=here)}
    for encoder in encoders:
        info = encoder.info
        facts[f"model {info.spec}"] = f"{info.fingerprint[:12]} {info.preprocessing} {dict(info.extra)}"
    for job in jobs:
        facts[f"settings of {job.name}"] = f"version {job.protocol.version} {job.settings.model_dump_json()}"
        if job.prompts is not None:
            facts[f"prompts of {job.name}"] = hashlib.sha256(
                repr((job.prompts.class_names, job.prompts.templates)).encode()
            ).hexdigest()[:12]
        for split in sorted(set(job.splits.values())):
            facts[f"data of {job.name}, split {split!r}"] = fingerprint(job.dataset, split)[:12]
    compare(facts)
    check_shared(request.cache)


def compare(facts: Mapping[str, str]) -> None:
    """Raise ConfigError on every rank, naming what differs, unless all ranks hold the same facts."""
    of_ranks = gather_objects(dict(facts))
    problems = []
    for name in dict.fromkeys(name for each in of_ranks for name in each):
        first, *others = [each.get(name, "none") for each in of_ranks]
        for number, other in enumerate(others, 1):
            if other != first:
                problems.append(f"{name} differs between ranks: rank 0 has {first}, rank {number} has {other}")
                break
    if problems:
        raise ConfigError("\n".join(f"{problem}, expected the same on every machine" for problem in problems))


def check_shared(cache: Path) -> None:
    """Raise ConfigError on every rank if some do not see what rank 0 writes to the cache, or it not what they write."""
    cache.mkdir(parents=True, exist_ok=True)
    name = broadcast_object(f".seen-{uuid.uuid4().hex}")
    paths = [cache / f"{name}-{number}" for number in range(len(gather_objects(None)))]
    paths[rank()].touch()
    gather_objects(None)  # all have written
    until = time.monotonic() + LAG
    while (unseen := [number for number, path in enumerate(paths) if not path.exists()]) and time.monotonic() < until:
        time.sleep(0.1)
    unseen_by = {number: others for number, others in enumerate(gather_objects(unseen)) if others}
    paths[rank()].unlink(missing_ok=True)
    if unseen_by:
        number, others = next(iter(unseen_by.items()))
        raise ConfigError(
            f"--cache {cache}: rank {number} does not see what rank {others[0]} writes there, expected a folder that "
            f"all machines share"
        )
