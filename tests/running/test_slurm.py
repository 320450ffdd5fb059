"""Jobs of Slurm between runs of one command, with programs in place of Slurm's: closed terminals, deaths, results."""

import importlib.util
import os
import pickle
import signal

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.request import RunRequest
from mlcd_eval.running.executors import slurm_watch
from mlcd_eval.running.executors.attempts import GroupFolder
from mlcd_eval.running.executors.base import Group, WorkerBug, WorkerError
from mlcd_eval.running.executors.hang_up import HungUp
from mlcd_eval.running.executors.slurm import REQUEUES, SlurmExecutor, _Requeued

if importlib.util.find_spec("submitit") is None:
    pytest.skip("needs submitit", allow_module_level=True)

SBATCH = """
number=$(($(cat {here}/count 2>/dev/null || echo 10) + 1)); echo $number > {here}/count
sed -n 's/#SBATCH --comment=//p' $1 > {here}/comment
echo "Submitted batch job $number"
"""
SQUEUE = 'sed "s/COMMENT/$(cat {here}/comment)/" {here}/states'
PROGRAMS = {"srun": "", "sbatch": SBATCH, "squeue": SQUEUE, "sacct": "exit 1", "scancel": "echo $1 >> {here}/cancelled"}


class Fake:
    """Slurm's programs in a folder. states: what squeue prints. submissions: how often sbatch was called."""

    def __init__(self, here):
        self.here = here
        here.mkdir()
        for name, text in PROGRAMS.items():
            (here / name).write_text("#!/bin/sh\n" + text.replace("{here}", str(here)))
            (here / name).chmod(0o755)
        self.states("")

    def states(self, *lines):
        (self.here / "states").write_text("".join(f"{line}\n" for line in lines))

    @property
    def submissions(self):
        return int((self.here / "count").read_text()) - 10

    @property
    def cancelled(self):
        path = self.here / "cancelled"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def fake(tmp_path, monkeypatch):
    programs = Fake(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{programs.here}{os.pathsep}{os.environ['PATH']}")
    for name in ("POLL", "ASK", "RESULT_LAG"):
        monkeypatch.setattr(slurm_watch, name, 0.0)
    return programs


@pytest.fixture
def groups(tmp_path):
    requests = [RunRequest(models=(f"m{number}",), tasks=("t",), output=tmp_path / "out") for number in range(2)]
    return [Group(f"m{number} on d", request, ("t",), tmp_path, 1) for number, request in enumerate(requests)]


def write_result(groups, job, *result):
    path = groups[0].request.output / ".slurm" / f"{job}_0_result.pkl"
    path.write_bytes(pickle.dumps(result))


def test_a_closed_terminal_leaves_jobs_that_the_same_command_joins(fake, groups, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(slurm_watch.Watch, "wait", lambda *_: signal.raise_signal(signal.SIGHUP))
        with pytest.raises(HungUp) as caught:
            next(SlurmExecutor().outcomes(groups, print))
    assert caught.value.code == 129 and fake.cancelled == []
    assert "Slurm goes on with 11_0 (m0 on d), 11_1 (m1 on d); run the same command" in capsys.readouterr().err

    fake.states("11_0|RUNNING|None|COMMENT", "11_1|CANCELLED|None|COMMENT")
    said = []
    outcomes = SlurmExecutor().outcomes(groups, said.append)
    write_result(groups, "11_0", "success", ["records"])
    assert next(outcomes) == (0, ["records"])
    assert said == ["joins jobs that an earlier run submitted: 11_0 (m0 on d)"]
    assert fake.submissions == 2  # the cancelled group is submitted anew
    outcomes.close()
    assert fake.cancelled == ["12"]


def test_a_terminal_that_closes_during_a_submission_leaves_no_unknown_job(fake, groups):
    (fake.here / "sbatch").write_text((fake.here / "sbatch").read_text() + "\nkill -HUP $PPID\n")
    with pytest.raises(HungUp):
        next(SlurmExecutor().outcomes(groups, print))
    assert [GroupFolder.of(group).job()["id"] for group in groups] == ["11_0", "11_1"]
    assert fake.cancelled == []


def test_a_job_of_somebody_else_with_the_same_id_is_not_joined(fake, groups, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(slurm_watch.Watch, "wait", lambda *_: signal.raise_signal(signal.SIGHUP))
        with pytest.raises(HungUp):
            next(SlurmExecutor().outcomes(groups, print))
    fake.states("11_0|RUNNING|None|other", "11_1|RUNNING|None|")
    monkeypatch.setattr(slurm_watch.Watch, "wait", lambda *_: iter([(0, slurm_watch.Ended(False, "CANCELLED"))]))
    said = []
    next(SlurmExecutor().outcomes(groups, said.append))
    assert said == [] and fake.submissions == 2


def test_a_dead_group_is_submitted_once_more_and_then_named(fake, groups):
    fake.states("11|FAILED|NonZeroExitCode|COMMENT", "12|OUT_OF_MEMORY|OutOfMemory|COMMENT")
    [(position, outcome)] = SlurmExecutor().outcomes(groups[:1], print)
    assert position == 0 and isinstance(outcome, WorkerError) and fake.submissions == 2
    assert "m0 on d: 2 workers died doing it, the last as OUT_OF_MEMORY (OutOfMemory), see " in str(outcome)
    assert str(outcome).endswith("12_0_log.err")


def test_an_error_that_submitit_caught_is_a_bug_and_not_submitted_again(fake, groups):
    fake.states("11|RUNNING|None|COMMENT")
    outcomes = SlurmExecutor().outcomes(groups[:1], print)
    groups[0].request.output.mkdir()
    (groups[0].request.output / ".slurm").mkdir()
    write_result(groups, "11", "error", "Traceback\nPicklingError: no")
    [(_, outcome)] = outcomes
    assert isinstance(outcome, WorkerBug) and "m0 on d: " in str(outcome) and "PicklingError: no" in str(outcome)
    assert fake.submissions == 1


def test_a_controller_that_does_not_answer_is_no_reason_to_double_jobs(fake, groups):
    (fake.here / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1")
    GroupFolder.of(groups[0]).write_job({"id": "11_0", "comment": "c"})
    with pytest.raises(ConfigError, match="Slurm does not answer: Unable to contact slurm controller"):
        next(SlurmExecutor().outcomes(groups, print))
    assert not (fake.here / "count").exists()


def test_hours_or_minutes():
    assert [SlurmExecutor(slurm_cluster="local", **limit).minutes for limit in (
        {}, {"slurm_hours": 2}, {"slurm_minutes": 7})] == [240, 120, 7]  # fmt: skip
    with pytest.raises(ConfigError, match="--slurm-hours and --slurm-minutes: got both"):
        SlurmExecutor(slurm_cluster="local", slurm_hours=1, slurm_minutes=2)


def test_a_group_that_never_ends_in_its_time_is_given_up(groups):
    never = _Requeued(lambda: ["records"])
    for _ in range(REQUEUES):
        assert never() == ["records"]
        never = never.checkpoint().function
    object.__setattr__(never, "attempt", type("Attempt", (), {"group": groups[0]}))
    assert "m0 on d: was preempted or ran out of time 30 times, expected a longer --slurm-hours" in str(never())
