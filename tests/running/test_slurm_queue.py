"""What Slurm's programs print, in version 22.05, and what is made of it while jobs are waited for."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlcd_eval.running.executors.slurm_queue import JobState, SlurmSilentError, ask_slurm, pending_lines
from mlcd_eval.running.executors.slurm_watch import Ended, Watch

SQUEUE = """2_3|PENDING|Resources|c
2_2|RUNNING|None|c
2_0|CANCELLED|None|c
2_1|FAILED|NonZeroExitCode|c
3|OUT_OF_MEMORY|OutOfMemory|
7|NODE_FAIL|NodeDown|
"""
NO_ACCOUNTING = (1, "", "Slurm accounting storage is disabled\n")
FORGOTTEN = (1, "", "slurm_load_jobs error: Invalid job id specified\n")


def programs(squeue=(0, SQUEUE, ""), sacct=NO_ACCOUNTING, calls=None):
    """A function in place of subprocess.run, with the return code and output of each program."""

    def run(command):
        if calls is not None:
            calls.append(command)
        return subprocess.CompletedProcess(command, *{"squeue": squeue, "sacct": sacct}[command[0]])

    return run


def test_without_accounting_squeue_names_what_ended():
    states = ask_slurm(["2_0", "2_1", "2_2", "2_3", "3", "7"], programs())
    assert states == {
        "2_0": JobState("CANCELLED", "", "c"),
        "2_1": JobState("FAILED", "NonZeroExitCode", "c"),
        "2_2": JobState("RUNNING", "", "c"),
        "2_3": JobState("PENDING", "Resources", "c"),
        "3": JobState("OUT_OF_MEMORY", "OutOfMemory"),
        "7": JobState("NODE_FAIL", "NodeDown"),
    }
    assert [job for job, state in states.items() if not state.ended] == ["2_2", "2_3"]


def test_what_squeue_has_forgotten_sacct_names():
    sacct = (0, "2_0|CANCELLED by 1000\n2_1|TIMEOUT\n2_[2-9]|PENDING\n", "")
    states = ask_slurm(["2_0", "2_1", "2_11"], programs(FORGOTTEN, sacct))
    assert [state.name for state in states.values()] == ["CANCELLED", "TIMEOUT", "GONE"]
    assert ask_slurm(["2_0"], programs(sacct=sacct))["2_0"] == JobState("CANCELLED", "", "c")  # squeue's word is newer


def test_a_job_that_nobody_knows_is_gone():
    assert ask_slurm(["8"], programs(FORGOTTEN)) == {"8": JobState("GONE")}
    assert ask_slurm(["8"], programs(FORGOTTEN))["8"].ended
    assert ask_slurm([], programs((1, "", "not asked"))) == {}


def test_an_array_is_asked_for_once():
    calls = []
    ask_slurm(["2_0", "2_1", "3"], programs(calls=calls))
    assert [command[-1] for command in calls] == ["--jobs=2,3"]


@pytest.mark.parametrize(
    "failure",
    [(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"), (1, "", "")],
)
def test_a_controller_that_does_not_answer_is_no_dead_job(failure):
    with pytest.raises(SlurmSilentError, match=r"Unable to contact|squeue ended with 1"):
        ask_slurm(["2_0"], programs(failure))


def test_reasons_of_waiting_are_counted_and_explained():
    states = {str(number): JobState("PENDING", "PartitionTimeLimit") for number in range(3)}
    states |= {
        "4": JobState("PENDING", "ReqNodeNotAvail, UnavailableNodes:n[1-2]"),
        "5": JobState("PENDING", "QOSMaxJobsPerUserLimit"),
        "6": JobState("RUNNING"),
    }
    assert pending_lines(states) == [
        "3 groups in Slurm's queue: PartitionTimeLimit (the partition allows less time, expected a smaller "
        "--slurm-hours or --slurm-minutes)",
        "1 group in Slurm's queue: ReqNodeNotAvail, UnavailableNodes:n[1-2] (nodes are down, drained or reserved)",
        "1 group in Slurm's queue: QOSMaxJobsPerUserLimit",
    ]


class Clock:
    """Seconds that pass only by sleeping."""

    now = 0.0

    def sleep(self, seconds):
        self.now += seconds


class Slurm:
    """Jobs whose states are given as (seconds from which on, state) pairs, in order."""

    def __init__(self, folder: Path, **histories):
        self.clock, self.histories, self.asked, self.said = Clock(), histories, 0, []
        self.jobs = {
            number: SimpleNamespace(job_id=name, paths=SimpleNamespace(result_pickle=folder / f"{name}_0_result.pkl"))
            for number, name in enumerate(histories)
        }
        self.watch = Watch(self.said.append, ask=self.ask, clock=lambda: self.clock.now, sleep=self.clock.sleep)

    def ask(self, job_ids):
        self.asked += 1
        states = {job: [s for since, s in self.histories[job] if since <= self.clock.now][-1] for job in job_ids}
        if None in states.values():
            raise SlurmSilentError("connect failure")
        return states

    def run(self, seconds):
        """Return [(position, how it ended, when)]."""
        ends = []
        while self.clock.now < seconds and self.jobs:
            for position, ended in self.watch.wait(self.jobs):
                del self.jobs[position]
                ends.append((position, ended, self.clock.now))
        return ends


RUNNING, FAILED, QUEUED = JobState("RUNNING"), JobState("NODE_FAIL", "NodeDown"), JobState("PENDING", "BeginTime")


def test_a_dead_job_is_noticed_once_its_result_could_be_here(tmp_path):
    slurm = Slurm(tmp_path, dead=[(0, RUNNING), (30, FAILED)], lives=[(0, RUNNING)])
    [(position, ended, when)] = slurm.run(200)
    assert (position, ended) == (0, Ended(False, "NODE_FAIL", "NodeDown")) and ended.again
    assert 30 + 15 <= when <= 30 + 15 + 2 * 6
    assert slurm.asked < 40


def test_a_job_that_slurm_queues_again_is_not_dead(tmp_path):
    slurm = Slurm(tmp_path, job=[(0, RUNNING), (30, FAILED), (40, QUEUED), (100, RUNNING), (200, FAILED)])
    [(_, ended, when)] = slurm.run(400)
    assert ended.state == "NODE_FAIL" and when > 200
    assert slurm.said == []  # it was pending for exactly a minute: the reason is shown after that


def test_a_result_counts_whatever_slurm_says(tmp_path):
    slurm = Slurm(tmp_path, job=[(0, JobState("COMPLETED"))])
    assert slurm.run(10) == []
    (tmp_path / "job_0_result.pkl").touch()
    [(position, ended, _)] = slurm.run(20)
    assert (position, ended) == (0, Ended(True)) and not ended.again


def test_a_cancelled_job_is_not_done_again(tmp_path):
    [(_, ended, _)] = Slurm(tmp_path, job=[(0, JobState("CANCELLED"))]).run(60)
    assert ended.state == "CANCELLED" and not ended.again


def test_why_jobs_wait_is_said_once_after_a_minute(tmp_path):
    waits = [(0, JobState("PENDING", "Priority")), (300, JobState("PENDING", "Resources"))]
    slurm = Slurm(tmp_path, one=waits, two=waits)
    slurm.run(55)
    assert slurm.said == []
    slurm.run(250)
    assert slurm.said == ["2 groups in Slurm's queue: Priority (other jobs come first)"]
    slurm.run(600)
    assert slurm.said[1:] == ["2 groups in Slurm's queue: Resources (all nodes are busy)"]


def test_a_controller_that_is_away_for_a_while_is_waited_for(tmp_path):
    slurm = Slurm(tmp_path, job=[(0, RUNNING), (20, None), (400, JobState("FAILED"))])
    [(_, ended, when)] = slurm.run(600)
    assert ended.state == "FAILED" and when > 400
    assert slurm.said == ["Slurm does not answer (connect failure); the jobs are waited for"]
