"""Groups as one array job of Slurm, submitted by submitit, or as processes on this machine, to try it out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlcd_eval.errors import ConfigError
from mlcd_eval.running.executors.base import Group, GroupExecutor, Outcome, WorkerError, need

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

SUBMISSIONS = 2


@dataclass(frozen=True)
class SlurmExecutor(GroupExecutor):
    """An executor on Slurm. A group that is preempted or runs out of time is queued again and resumes; a group that
    dies is submitted again.

    slurm_hours: time limit of a group. slurm_cluster: `local` needs no Slurm.
    """

    slurm_partition: str | None = None
    slurm_hours: int = 4
    slurm_cluster: Literal["slurm", "local"] = "slurm"

    def __post_init__(self) -> None:
        need("submitit", "slurm")
        if self.slurm_cluster == "slurm" and shutil.which("srun") is None:
            raise ConfigError(
                "--executor slurm: got a machine without Slurm's srun, expected one of a Slurm cluster "
                "(or --slurm-cluster local)"
            )

    def outcomes(self, groups: Sequence[Group]) -> Iterator[tuple[int, Outcome]]:
        """Yield each group's position and outcome. Jobs that still run when the iteration ends are cancelled."""
        executor = self._executor(groups[0])
        waiting = dict(enumerate(groups))
        for number in range(SUBMISSIONS):
            jobs = _submit(executor, waiting)
            try:
                for position, job in _as_done(jobs):
                    outcome = _outcome(job, groups[position])
                    if isinstance(outcome, WorkerError) and number + 1 < SUBMISSIONS:
                        continue
                    del waiting[position]
                    yield position, outcome
            finally:
                for job in jobs.values():
                    job.cancel(check=False)
            if not waiting:
                return

    def _executor(self, group: Group) -> Any:
        from submitit import AutoExecutor

        executor = AutoExecutor(folder=group.request.output / ".slurm", cluster=self.slurm_cluster)
        gpus = self.group_gpus if self.group_gpus is not None else int(group.request.device != "cpu")
        executor.update_parameters(
            name="mlcd-eval",
            timeout_min=60 * self.slurm_hours,
            cpus_per_task=self.group_cpus,
            slurm_partition=self.slurm_partition,
            **({"gpus_per_node": gpus} if gpus else {}),
        )
        return executor


@dataclass(frozen=True)
class _Requeued:
    """A group that submitit queues again when its time is up."""

    group: Group

    def __call__(self) -> Outcome:
        return self.group()

    def checkpoint(self) -> DelayedSubmission:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _submit(executor: Any, groups: dict[int, Group]) -> dict[int, Any]:
    """Submit the groups and return their jobs by position. Raises ConfigError with sbatch's message if it refuses."""
    from submitit.core.utils import FailedJobError

    try:
        jobs = executor.submit_array([_Requeued(group) for group in groups.values()])
    except FailedJobError as error:
        raise ConfigError(
            f"--executor slurm: sbatch refused the jobs: {str(error).strip().splitlines()[-1]}"
        ) from error
    return dict(zip(groups, jobs, strict=True))


def _as_done(jobs: dict[int, Any]) -> Iterator[tuple[int, Any]]:
    """Remove and yield (position, job) as jobs end."""
    while jobs:
        for position in [position for position, job in jobs.items() if job.done()]:
            yield position, jobs.pop(position)
        time.sleep(0.2 if jobs else 0)


def _outcome(job: Any, group: Group) -> Outcome:
    from submitit.core.utils import UncompletedJobError

    error = job.exception()
    if isinstance(error, UncompletedJobError):  # it left no result
        log = job.paths.stderr
        return WorkerError(f"{group.title}: {SUBMISSIONS} workers died doing it, the last as {job.state}, see {log}")
    return error or job.result()
