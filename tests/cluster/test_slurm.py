"""Groups on a real Slurm without accounting: cancelled, dead, requeued, waiting, joined after the terminal closed."""

import contextlib
import signal

import pytest

pytestmark = pytest.mark.cluster
SLURM = ("--executor", "slurm")


def number_of(job):
    """Of 11_0 and 11_[0-1], as a job of several groups is shown once and the other time, it is 11."""
    return int(job.partition("_")[0])


@pytest.fixture
def on_slurm(slurm, run):
    """A run with the daemons; its jobs and those of other tests are cancelled at the end."""
    run.environment.update({name: slurm.environment[name] for name in ("PATH", "SLURM_CONF")})
    numbers = [number_of(job) for job in slurm.jobs()]
    run.submitted = lambda: {job for job in slurm.jobs() if number_of(job) > max(numbers, default=0)}
    yield run
    slurm.call("scancel", "--full", "--user=root")
    run.process = None
    run.until(lambda: not slurm.jobs("PENDING", "RUNNING", "COMPLETING"))


def test_records_are_those_of_a_local_run(on_slurm, slurm, local):
    code, error = on_slurm.start(*SLURM).end()
    assert code == 0, error
    assert on_slurm.records() == local
    assert len(on_slurm.submitted()) == 2
    assert not list((on_slurm.out / ".groups").glob("*"))


def test_a_cancelled_group_is_named_and_not_submitted_again(on_slurm, slurm):
    on_slurm.start(*SLURM, slow=0.5)
    on_slurm.until(lambda: len(slurm.jobs("RUNNING")) == 2 and len(on_slurm.encoded()) == 2)
    slurm.call("scancel", slurm.jobs("RUNNING")[0])
    code, error = on_slurm.end()
    assert code == 2 and error.count(" was cancelled, see ") == 1, error
    assert len(on_slurm.submitted()) == 2
    assert len(on_slurm.records()) in (1, 2)  # of the other group


def test_an_exception_is_reported_as_itself_and_not_submitted_again(on_slurm, slurm):
    code, error = on_slurm.start(*SLURM, models=("cannot_load", "damaged"), tasks="knn/demo_clipart").end()
    assert code == 1, error
    assert "RuntimeError: a model that cannot load" in error and "Traceback" in error
    assert "the weights of this model are damaged" in error
    assert "died" not in error
    assert len(on_slurm.submitted()) == 2


def test_a_group_that_kills_its_workers_is_submitted_twice(on_slurm, slurm):
    code, error = on_slurm.start(*SLURM, models=("dies", "slow"), tasks="knn/demo_clipart").end()
    assert code == 2, error
    assert "cluster_models_dies on demo_clipart: 2 workers died doing it, the last as FAILED (NonZeroExitCode)" in error
    assert len(on_slurm.submitted()) == 3
    assert list(on_slurm.records()) == ["knn__demo_clipart.json"]


def test_why_a_group_waits_is_shown(on_slurm, slurm):
    on_slurm.start(*SLURM, "--slurm-partition", "short", "--slurm-minutes", "5", tasks="knn/demo_clipart")
    on_slurm.until(lambda: slurm.jobs("PENDING"))
    line = on_slurm.process.stderr.readline()
    assert "1 group in Slurm's queue: PartitionTimeLimit (the partition allows less time, expected a smaller" in line
    slurm.call("scancel", "--user=root")
    code, error = on_slurm.end()
    assert code == 2 and "was cancelled" in error


def test_after_the_terminal_closed_the_same_command_joins(on_slurm, slurm, local):
    on_slurm.start(*SLURM, slow=0.3)
    on_slurm.until(lambda: len(slurm.jobs("RUNNING")) == 2 and len(on_slurm.encoded()) == 2)
    on_slurm.process.send_signal(signal.SIGHUP)
    code, error = on_slurm.end()
    running = slurm.jobs("RUNNING")
    assert code == 129 and len(running) == 2
    assert "the terminal was closed and Slurm goes on with" in error and all(job in error for job in running)
    code, error = on_slurm.start(*SLURM, slow=0.3).end()
    assert code == 0, error
    assert "joins jobs that an earlier run submitted" in error and all(job in error for job in running)
    assert len(on_slurm.submitted()) == 2
    assert on_slurm.records() == local


def test_a_killed_submitter_is_joined_too_and_ctrl_c_cancels(on_slurm, slurm):
    on_slurm.start(*SLURM, slow=0.5, tasks="knn/demo_clipart")
    on_slurm.until(on_slurm.encoded)
    on_slurm.process.kill()
    on_slurm.end()
    on_slurm.start(*SLURM, slow=0.5, tasks="knn/demo_clipart")
    assert "joins jobs" in on_slurm.process.stderr.readline()
    on_slurm.process.send_signal(signal.SIGINT)
    code, _ = on_slurm.end()
    assert code == 130
    on_slurm.process = None
    on_slurm.until(lambda: not slurm.jobs("PENDING", "RUNNING", "COMPLETING"))
    assert len(on_slurm.submitted()) == 1


def start_again(on_slurm, slurm, job):
    """Let a requeued job start at once: Slurm makes it wait for two minutes."""
    on_slurm.until(lambda: slurm.jobs("PENDING") == [job])
    slurm.call("scontrol", "update", f"jobid={job}", "StartTime=now")


def test_a_requeued_group_keeps_what_it_encoded(on_slurm, slurm, local):
    """685 images in two splits, each of them one chunk."""
    tasks = "knn/demo_clipart,zeroshot/demo_clipart"
    on_slurm.environment["CHUNK"] = "1024"
    on_slurm.start(*SLURM, slow=0.3, tasks=tasks)
    on_slurm.until(lambda: sum(on_slurm.encoded()) >= 100)
    (job,) = slurm.jobs("RUNNING")
    slurm.call("scancel", "--signal=USR2", job)  # as Slurm does before a job's time is up, and at a preemption
    start_again(on_slurm, slurm, job)
    code, error = on_slurm.end()
    assert code == 0, error
    first, second = on_slurm.encoded()
    assert first >= 100 and 685 <= first + second <= 685 + 96
    assert len(on_slurm.submitted()) == 1
    assert on_slurm.records() == {name: record for name, record in local.items() if "clipart" in name}


def test_a_node_that_fails_gives_its_group_to_another(on_slurm, slurm, local):
    on_slurm.start(*SLURM, slow=0.3)
    on_slurm.until(lambda: len(slurm.jobs("RUNNING")) == 2 and len(on_slurm.encoded()) == 2)
    slurm.end_node("n1")
    slurm.call("scontrol", "update", "nodename=n1", "state=down", "reason=test")
    try:
        code, error = on_slurm.end()
    finally:
        slurm.start_node("n1")
        with contextlib.suppress(AssertionError):  # it came back on its own
            slurm.call("scontrol", "update", "nodename=n1", "state=resume")
    assert code == 0, error
    assert len(on_slurm.encoded()) == 3
    assert on_slurm.records() == local
