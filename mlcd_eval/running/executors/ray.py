"""Groups as tasks of a Ray cluster: the one that RAY_ADDRESS or `ray start` names, else a local one for this run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

from mlcd_eval.errors import ConfigError
from mlcd_eval.running.executors.base import Group, GroupExecutor, Outcome, WorkerError, need

RETRIES = 3


@dataclass(frozen=True)
class RayExecutor(GroupExecutor):
    """Ray starts a task again elsewhere if its worker or machine dies."""

    def __post_init__(self) -> None:
        need("ray", "ray")

    def outcomes(self, groups: Sequence[Group]) -> Iterator[tuple[int, Outcome]]:
        """Each group in a process of its own, so that a model leaves nothing behind for the next."""
        import ray

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        own = not ray.is_initialized()
        with redirect_stdout(sys.stderr):  # where Ray says what its workers say
            if own:
                ray.init(include_dashboard=False)
            try:
                share = {"num_cpus": self.group_cpus, "num_gpus": self._gpus(groups[0].request.device)}
                work = ray.remote(max_retries=RETRIES, max_calls=1, **share)(_work)
                pending = {work.remote(group): place for place, group in enumerate(groups)}
                while pending:
                    (done,), _ = ray.wait(list(pending), num_returns=1)
                    place = pending.pop(done)
                    yield place, _outcome(done, groups[place])
            finally:
                if own:
                    ray.shutdown()

    def _gpus(self, device: str) -> int:
        """GPUs a group; raises ConfigError where no machine has its share (a cluster may still grow to have it)."""
        import ray

        resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = self.group_gpus
        if gpus is None:
            gpus = {"cpu": 0, "cuda": 1}.get(device, int(any(one.get("GPU", 0) >= 1 for one in resources)))
        if not any(one.get("CPU", 0) >= self.group_cpus and one.get("GPU", 0) >= gpus for one in resources):
            raise ConfigError(
                f"--executor ray: got no machine with {self.group_cpus} cores and {gpus} GPUs, which a group is to "
                f"have, expected a smaller --group-cpus or --group-gpus, or another cluster"
            )
        return gpus


def _work(group: Group) -> Outcome:
    return group()


def _outcome(done: object, group: Group) -> Outcome:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(done)
    except RayTaskError as error:  # a bug, with the worker's traceback
        return error
    except RayError as error:
        return WorkerError(f"{group.title}: {1 + RETRIES} workers died of it, the last by {type(error).__name__}")
