"""Groups as tasks of a Ray cluster: that of RAY_ADDRESS or `ray start`, else a local cluster for this run."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

from mlcd_eval.errors import ConfigError
from mlcd_eval.running.executors.attempts import DEATHS, Attempt, GroupFolder
from mlcd_eval.running.executors.base import Group, GroupExecutor, Outcome, Say, WorkerBug, WorkerError, need

ANSWERS = 10.0  # seconds
RETRIES = DEATHS - 1
MEMORY = "OutOfMemoryError"
"""Ray's name for the death of a worker that it stopped because its machine's memory ran out."""


@dataclass(frozen=True)
class RayExecutor(GroupExecutor):
    """An executor on Ray, which starts a task again elsewhere if its worker or machine dies."""

    def __post_init__(self) -> None:
        need("ray", "ray")
        _check_answers(os.environ.get("RAY_ADDRESS", ""))

    def outcomes(self, groups: Sequence[Group], say: Say) -> Iterator[tuple[int, Outcome]]:
        """Yield each group's position and outcome. Each group gets a new process, so that no model affects another."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # else a model that does not fit starts for ever
        import ray

        starts_ray = not ray.is_initialized()
        with redirect_stdout(sys.stderr):  # Ray repeats its workers' output on stdout
            if starts_ray:
                ray.init(include_dashboard=False)
            try:
                share = {"num_cpus": self.group_cpus, "num_gpus": self._gpus(groups[0].request.device)}
                work = ray.remote(max_retries=RETRIES, max_calls=1, **share)(_work)
                for group in groups:
                    GroupFolder.of(group).clear()
                pending = {work.remote(Attempt(group)): position for position, group in enumerate(groups)}
                while pending:
                    (done,), _ = ray.wait(list(pending), num_returns=1)
                    position = pending.pop(done)
                    outcome = _outcome(done, groups[position])
                    GroupFolder.of(groups[position]).clear()
                    yield position, outcome
            finally:
                if starts_ray:
                    ray.shutdown()

    def _gpus(self, device: str) -> int:
        """Return the GPUs per worker. Raises ConfigError if no machine has a worker's cores and GPUs."""
        import ray

        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = self.group_gpus
        if gpus is None:
            gpus = {"cpu": 0, "cuda": 1}.get(device, int(any(machine.get("GPU", 0) >= 1 for machine in machines)))
        if not any(m.get("CPU", 0) >= self.group_cpus and m.get("GPU", 0) >= gpus for m in machines):
            raise ConfigError(
                f"--executor ray: got no machine with the {self.group_cpus} cores and {gpus} GPUs of a worker, "
                f"expected a smaller --group-cpus or --group-gpus, or another cluster"
            )
        return gpus


def _check_answers(address: str) -> None:
    """Raise ConfigError if nothing listens at an address with a port, for which Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS).close()
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"--executor ray: RAY_ADDRESS is {address}, where no cluster answers ({error}): expected that of a "
                "running one, or none to start one here"
            ) from error


def _work(attempt: Attempt) -> Outcome:
    return attempt()


def _outcome(done: object, group: Group) -> Outcome:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(done)
    except RayTaskError as error:  # a bug outside of the group's own code
        return WorkerBug(f"{group.title}: {error}")
    except RayError as error:
        deaths = GroupFolder.of(group).deaths or DEATHS  # none is counted if workers die before they start
        cause = type(error).__name__
        advice = " (expected machines with more memory, or a larger --group-cpus, so that fewer groups run at once)"
        return WorkerError(
            f"{group.title}: {deaths} workers died doing it, the last with {cause}{advice if cause == MEMORY else ''}"
        )
