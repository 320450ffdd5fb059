"""Groups as array jobs of Slurm, submitted by submitit, or as processes on this machine, to try it out."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mlcd_eval.errors import ConfigError
from mlcd_eval.running.executors.attempts import Attempt, GroupFolder
from mlcd_eval.running.executors.base import Group, GroupExecutor, Outcome, Say, WorkerBug, WorkerError, need
from mlcd_eval.running.executors.hang_up import HangUp
from mlcd_eval.running.executors.slurm_queue import SlurmSilentError, ask_slurm
from mlcd_eval.running.executors.slurm_watch import Ended, Watch

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

SUBMISSIONS = 2
REQUEUES = 30  # times that a group may be preempted or run out of time
HOURS = 4
SIGNAL_BEFORE = 90  # seconds between submitit's signal and the end of a job's time


@dataclass(frozen=True)
class SlurmExecutor(GroupExecutor):
    """An executor on Slurm. A group that is preempted or runs out of time is queued again and resumes; a group that
    dies is submitted again; a group that was cancelled is not.

    slurm_hours, slurm_minutes: time limit of a job, at most one of them; 4 hours by default. slurm_cluster: `local`
    needs no Slurm.
    """

    slurm_partition: str | None = None
    slurm_hours: int | None = None
    slurm_minutes: int | None = None
    slurm_cluster: Literal["slurm", "local"] = "slurm"

    def __post_init__(self) -> None:
        need("submitit", "slurm")
        if self.slurm_hours is not None and self.slurm_minutes is not None:
            raise ConfigError("--slurm-hours and --slurm-minutes: got both, expected one time limit")
        if self.slurm_cluster == "slurm" and shutil.which("srun") is None:
            raise ConfigError(
                "--executor slurm: got a machine without Slurm's srun, expected one of a Slurm cluster "
                "(or --slurm-cluster local)"
            )

    @property
    def minutes(self) -> int:
        """The time limit of a job."""
        return self.slurm_minutes or 60 * (self.slurm_hours or HOURS)

    def outcomes(self, groups: Sequence[Group], say: Say) -> Iterator[tuple[int, Outcome]]:
        """Yield each group's position and outcome.

        Jobs that still run when the iteration ends are cancelled, unless SIGHUP ended it: then they go on, and the same
        command joins them instead of submitting its groups again.
        """
        executor = self._executor(groups[0])
        jobs = self._running(executor, groups, say)
        submissions = dict.fromkeys(range(len(groups)), 1)
        terminal = HangUp()
        with terminal.raised():
            try:
                with terminal.held():
                    jobs |= _submit(executor, {at: group for at, group in enumerate(groups) if at not in jobs})
                watch = Watch(say, local=self.slurm_cluster == "local")
                while jobs:
                    for position, ended in watch.wait(jobs):
                        if ended.again and submissions[position] < SUBMISSIONS:
                            submissions[position] += 1
                            with terminal.held():
                                jobs |= _submit(executor, {position: groups[position]}, again=True)
                            continue
                        outcome = _outcome(jobs.pop(position), ended, groups[position])
                        GroupFolder.of(groups[position]).clear()
                        yield position, outcome
            finally:
                if terminal.closed and self.slurm_cluster == "slurm":
                    _list(jobs, groups)
                else:
                    for position, job in jobs.items():
                        job.cancel(check=False)
                        GroupFolder.of(groups[position]).clear()

    def _executor(self, group: Group) -> Any:
        from submitit import AutoExecutor

        executor = AutoExecutor(
            folder=group.request.output / ".slurm",
            cluster=self.slurm_cluster,
            **{f"{self.slurm_cluster}_max_num_timeout": REQUEUES},
        )
        gpus = self.group_gpus if self.group_gpus is not None else int(group.request.device != "cpu")
        executor.update_parameters(
            name="mlcd-eval",
            timeout_min=self.minutes,
            cpus_per_task=self.group_cpus,
            slurm_partition=self.slurm_partition,
            slurm_comment=os.environ.get("SBATCH_COMMENT", uuid.uuid4().hex),  # sbatch prefers the variable's
            slurm_signal_delay_s=min(SIGNAL_BEFORE, 20 * self.minutes),
            **({"gpus_per_node": gpus} if gpus else {}),
        )
        return executor

    def _running(self, executor: Any, groups: Sequence[Group], say: Say) -> dict[int, Any]:
        """Return position -> job for each group that a job of an earlier run of the same command still does."""
        if self.slurm_cluster == "local":
            return {}
        from submitit import SlurmJob

        known = {position: job for position, group in enumerate(groups) if (job := GroupFolder.of(group).job())}
        try:
            states = ask_slurm(job["id"] for job in known.values())
        except SlurmSilentError as error:
            raise ConfigError(f"--executor slurm: Slurm does not answer: {error}") from error
        running = {
            position: SlurmJob(folder=executor.folder, job_id=job["id"])
            for position, job in known.items()
            if not states[job["id"]].ended and states[job["id"]].comment == job["comment"]  # ids are used again
        }
        if running:
            say(f"joins jobs that an earlier run submitted: {_listed(running, groups)}")
        return running


@dataclass(frozen=True)
class _Requeued:
    """A group that submitit queues again when its time is up or it is preempted."""

    attempt: Attempt
    requeues: int = 0

    def __call__(self) -> Outcome:
        if self.requeues >= REQUEUES:
            return WorkerError(
                f"{self.attempt.group.title}: was preempted or ran out of time {self.requeues} times, expected a "
                f"longer --slurm-hours (run the same command again to resume)"
            )
        return self.attempt()

    def checkpoint(self) -> DelayedSubmission:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(replace(self, requeues=self.requeues + 1))


def _submit(executor: Any, groups: Mapping[int, Group], again: bool = False) -> dict[int, Any]:
    """Submit the groups and return their jobs by position. Raises ConfigError with sbatch's message if it refuses.

    again: a worker of theirs has died, which is remembered.
    """
    from submitit.core.utils import FailedJobError

    if not groups:
        return {}
    for group in groups.values() if not again else ():
        GroupFolder.of(group).clear()
    try:
        submitted = executor.submit_array([_Requeued(Attempt(group)) for group in groups.values()])
    except FailedJobError as error:
        raise ConfigError(
            f"--executor slurm: sbatch refused the jobs: {str(error).strip().splitlines()[-1]}"
        ) from error
    jobs = dict(zip(groups, submitted, strict=True))
    for position, job in jobs.items():
        comment = str(executor.parameters.get("comment", ""))
        GroupFolder.of(groups[position]).write_job({"id": job.job_id, "comment": comment})
    return jobs


def _outcome(job: Any, ended: Ended, group: Group) -> Outcome:
    log = job.paths.stderr
    if ended.with_result:
        error = job.exception()  # of submitit: a bug of a group is a result
        return job.result() if error is None else WorkerBug(f"{group.title}: {error}")
    if ended.state == "CANCELLED":
        return WorkerError(f"{group.title}: Slurm job {job.job_id} was cancelled, see {log}")
    reason = f" ({ended.reason})" if ended.reason else ""
    deaths = max(GroupFolder.of(group).deaths, SUBMISSIONS)  # none is counted if workers die before they start
    return WorkerError(f"{group.title}: {deaths} workers died doing it, the last as {ended.state}{reason}, see {log}")


def _list(jobs: Mapping[int, Any], groups: Sequence[Group]) -> None:
    """Write to stderr, which may be closed with the terminal, which jobs go on."""
    with contextlib.suppress(OSError):
        print(
            f"mlcd-eval: the terminal was closed and Slurm goes on with {_listed(jobs, groups)}; run the same command "
            f"again to join, or scancel to stop",
            file=sys.stderr,
        )


def _listed(jobs: Mapping[int, Any], groups: Sequence[Group]) -> str:
    return ", ".join(f"{job.job_id} ({groups[position].title})" for position, job in jobs.items())
