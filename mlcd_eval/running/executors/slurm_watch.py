"""Waiting for jobs: for their result files, and for Slurm's word that a job ended without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mlcd_eval.running.executors.base import Say
from mlcd_eval.running.executors.slurm_queue import JobState, SlurmSilentError, ask_slurm, pending_lines

POLL = 1.0  # seconds between looks for result files
ASK = 5.0  # least seconds between questions to Slurm; a tenth of the time waited, at most a minute
RESULT_LAG = 15.0  # seconds that a file may take from one machine to another
PENDING = 60.0  # seconds after which it is shown why groups do not start


class Ended(NamedTuple):
    """How a job ended: with a result, or in a state of Slurm."""

    with_result: bool
    state: str = ""
    reason: str = ""

    @property
    def again(self) -> bool:
        """Whether the group died, so that another worker may do it. What somebody cancelled stays cancelled."""
        return not self.with_result and self.state != "CANCELLED"


@dataclass
class Watch:
    """Looks at jobs until some of them have ended.

    say: shows a line. local: the jobs are processes of this machine. ask, clock, sleep: of tests.
    """

    say: Say
    local: bool = False
    ask: Callable[[list[str]], dict[str, JobState]] = ask_slurm
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _started: float = field(init=False)
    _asked: float = field(default=float("-inf"), init=False)
    _dead_since: dict[str, float] = field(default_factory=dict, init=False)
    _pending_since: dict[str, float] = field(default_factory=dict, init=False)
    _said: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def wait(self, jobs: Mapping[int, Any]) -> Iterator[tuple[int, Ended]]:
        """Wait for a moment, then yield the position of each job that has ended, with how it did."""
        self.sleep(0.2 if self.local else POLL)
        states = self._local_states(jobs) if self.local else self._slurm_states(jobs)
        results = _result_names(jobs)
        for position, job in list(jobs.items()):
            ended = None
            if job.paths.result_pickle.name in results:
                ended = Ended(True)
            elif (state := states.get(job.job_id)) is not None and self._is_dead(job.job_id, state):
                ended = Ended(False, state.name, state.reason)
            if ended is not None:
                self._dead_since.pop(job.job_id, None)
                yield position, ended

    def _local_states(self, jobs: Mapping[int, Any]) -> dict[str, JobState]:
        return {job.job_id: JobState("FAILED", job.state) for job in jobs.values() if job.done()}

    def _slurm_states(self, jobs: Mapping[int, Any]) -> dict[str, JobState]:
        """Return Slurm's states, empty where it is not yet time to ask again, or where it does not answer."""
        now = self.clock()
        waited = 0.0 if self._dead_since else now - self._started
        if now - self._asked < min(60.0, max(ASK, waited / 10)):
            return {}
        self._asked = now
        try:
            states = self.ask([job.job_id for job in jobs.values()])
        except SlurmSilentError as error:
            self._say_once(f"Slurm does not answer ({error}); the jobs are waited for")
            return {}
        self._say_why_pending(states)
        return states

    def _is_dead(self, job_id: str, state: JobState) -> bool:
        """Whether the job has been over for so long that its result would be here, and was not queued again."""
        if not state.ended:
            self._dead_since.pop(job_id, None)
            return False
        since = self._dead_since.setdefault(job_id, self.clock())
        return self.local or self.clock() - since >= RESULT_LAG

    def _say_why_pending(self, states: Mapping[str, JobState]) -> None:
        now = self.clock()
        for job_id, state in states.items():
            if state.name == "PENDING":
                self._pending_since.setdefault(job_id, now)
            else:
                self._pending_since.pop(job_id, None)
        late = {
            job_id: states[job_id]
            for job_id, since in self._pending_since.items()
            if job_id in states and now - since >= PENDING
        }
        for line in pending_lines(late):
            self._say_once(line)

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.say(line)


def _result_names(jobs: Mapping[int, Any]) -> set[str]:
    """Return the names of all files where results are written. A listing makes a network's file system look again."""
    folders = {job.paths.result_pickle.parent for job in jobs.values()}
    return {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
