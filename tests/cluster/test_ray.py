"""Groups on two raylets: a raylet that is killed, and a model that no machine has the memory for."""

import contextlib
from pathlib import Path

import pytest

from cluster.slurm_daemons import kill, with_variable

pytestmark = pytest.mark.cluster
TRIES = 4
RAY = ("--executor", "ray")


@pytest.fixture
def start_raylets(run, monkeypatch):
    """start_raylets(NAME=VALUE ...): two raylets of one core each; Ray reads its settings from the environment."""
    pytest.importorskip("ray", reason="needs ray")
    from ray.cluster_utils import Cluster

    def both():
        machine = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80_000_000}
        cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
        return cluster, cluster.add_node(**machine)

    def end():
        for process in with_variable(f"WORKERS={run.workers}"):
            kill(process)

    def start(**settings):
        run.environment |= {"RAY_USAGE_STATS_ENABLED": "0", **settings}
        for name, value in run.environment.items():
            monkeypatch.setenv(name, value)
        for _ in range(TRIES):
            with contextlib.suppress(Exception):  # a busy machine is too slow for Ray, which waits for 30 s
                cluster, second = both()
                run.environment["RAY_ADDRESS"] = cluster.address
                return second
            end()
        return pytest.fail(f"Ray did not start in {TRIES} tries")

    yield start
    end()


def children(process):
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def share_in_use():
    lines = (line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    kilobytes = {name: int(value.split()[0]) for name, value in lines}
    return 1 - kilobytes["MemAvailable"] / kilobytes["MemTotal"]


def test_a_machine_that_fails_gives_its_group_to_the_other(run, local, start_raylets):
    raylet = start_raylets(SLOW="0.6").all_processes["raylet"][0].process.pid
    run.start(*RAY)
    run.until(lambda: {path.suffix for path in run.workers.iterdir()} & {f".{child}" for child in children(raylet)})
    for process in [raylet, *children(raylet)]:  # as a power cut: without its raylet, a worker would finish its group
        kill(process)
    code, error = run.end()
    assert code == 0, error
    assert len(run.encoded()) == 3
    assert run.records() == local


def test_a_model_that_does_not_fit_is_given_up(run, start_raylets):
    start_raylets(RAY_memory_usage_threshold=f"{share_in_use() + 0.2:.2f}", RAY_task_oom_retry_delay_base_ms="100")
    code, error = run.start(*RAY, models=("eats",), tasks="knn/demo_clipart").end()
    assert code == 2, error[-3000:]
    assert "cluster_models_eats on demo_clipart: 4 workers died doing it, the last with OutOfMemoryError" in error
    assert len(run.encoded()) == 4


def test_each_group_that_fails_has_its_sentence(run, start_raylets):
    start_raylets()
    models = ("damaged", "cannot_load", "dies")
    code, error = run.start(*RAY, models=models, tasks="knn/demo_clipart").end()
    assert code == 1, error  # one of them is a bug
    assert "cluster_models_dies on demo_clipart: 4 workers died doing it, the last with WorkerCrashedError" in error
    assert "the weights of this model are damaged" in error
    assert "RuntimeError: a model that cannot load" in error
    assert len(run.encoded()) == 4
