"""What Slurm knows of jobs, with and without accounting.

squeue asks the controller, which every Slurm has, and lists ended jobs for a while (MinJobAge, five minutes by
default). What it has forgotten sacct still names where accounting works.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "GONE",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
"""Slurm's states of jobs that do not run again, and GONE for a job that Slurm does not know any more."""

ADVICE = {
    "PartitionTimeLimit": "the partition allows less time, expected a smaller --slurm-hours or --slurm-minutes",
    "PartitionConfig": "no node of the partition is as large, expected a smaller --group-cpus or --group-gpus",
    "PartitionNodeLimit": "the partition allows fewer nodes, expected another --slurm-partition",
    "PartitionDown": "the partition is down, expected another --slurm-partition or patience",
    "PartitionInactive": "the partition is inactive, expected another --slurm-partition or patience",
    "BadConstraints": "no node meets the request, expected a smaller one",
    "Resources": "all nodes are busy",
    "Priority": "other jobs come first",
    "BeginTime": "Slurm waits for a while before it starts a job again",
    "ReqNodeNotAvail": "nodes are down, drained or reserved",
    "JobHeldUser": "held by the user, `scontrol release` lets them start",
    "JobHeldAdmin": "held by an administrator",
}
"""Slurm's reasons for which a job is pending -> what they mean. Others are shown as they are."""


@dataclass(frozen=True)
class JobState:
    """A job's state and the reason for it, in Slurm's words, and the comment that the job was submitted with."""

    name: str
    reason: str = ""
    comment: str = ""

    @property
    def ended(self) -> bool:
        """Whether the job does not run and will not run again."""
        return self.name in ENDED


class SlurmSilentError(Exception):
    """Slurm's controller does not answer; the message is squeue's."""


Command = Callable[[list[str]], "subprocess.CompletedProcess[str]"]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def ask_slurm(job_ids: Iterable[str], run: Command = _run) -> dict[str, JobState]:
    """Return the state of each job, such as `12` or the array's element `12_3`.

    Raises SlurmSilentError where the controller cannot be asked.
    """
    wanted = list(job_ids)
    if not wanted:
        return {}
    numbers = ",".join(sorted({job_id.partition("_")[0] for job_id in wanted}))
    done = run(["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%k", f"--jobs={numbers}"])
    if done.returncode and "Invalid job id" not in done.stderr:  # which it says if all are forgotten
        lines = done.stderr.strip().splitlines()
        raise SlurmSilentError(lines[-1] if lines else f"squeue ended with {done.returncode}")
    states = _parsed(done.stdout)
    if any(job_id not in states for job_id in wanted):
        accounting = run(["sacct", "--noheader", "--parsable2", "--allocations", "-o", "JobID,State", "-j", numbers])
        states = {**_parsed(accounting.stdout if not accounting.returncode else ""), **states}
    return {job_id: states.get(job_id, JobState("GONE")) for job_id in wanted}


def _parsed(text: str) -> dict[str, JobState]:
    """Return job id -> state from lines of `id|state[|reason[|comment]]`."""
    states = {}
    for line in text.splitlines():
        job_id, state, reason, comment, *_ = [*line.strip().split("|"), "", "", ""]
        if state:  # sacct says `CANCELLED by 1000`
            states[job_id] = JobState(state.split()[0], "" if reason == "None" else reason, comment)
    return states


def pending_lines(states: Mapping[str, JobState]) -> list[str]:
    """Return a line per reason for which jobs are pending."""
    counts: dict[str, int] = {}
    for state in states.values():
        if state.name == "PENDING":
            counts[state.reason] = counts.get(state.reason, 0) + 1
    return [_pending_line(reason, count) for reason, count in counts.items()]


def _pending_line(reason: str, count: int) -> str:
    meaning = ADVICE.get(reason.partition(",")[0])
    return (
        f"{count} group{'s' if count > 1 else ''} in Slurm's queue: {reason or 'no reason given'}"
        f"{f' ({meaning})' if meaning else ''}"
    )
