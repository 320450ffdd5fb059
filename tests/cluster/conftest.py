"""What the tests of clusters share: the command of a run, in a process of its own, and its records."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.slurm_daemons import missing, slurm_on_loopback

HERE = Path(__file__).parent
PATHS = os.pathsep.join(map(str, (HERE, HERE.parent, HERE.parents[1])))
TASKS = "knn/demo_clipart,zeroshot/demo_clipart,retrieval/demo_captions"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Slurm's daemons, for all tests of the session."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    pytest.importorskip("submitit", reason="needs submitit")
    with slurm_on_loopback(tmp_path_factory.mktemp("slurm")) as daemons:
        yield daemons


class Run:
    """`mlcd-eval run` in a process of its own. out: of its records. workers: where models note what they encode."""

    def __init__(self, folder, environment):
        self.folder, self.out, self.workers = folder, folder / "out", folder / "workers"
        self.workers.mkdir(exist_ok=True)
        self.environment = {**environment, "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1", "WORKERS": str(self.workers)}
        self.process = None

    def words(self, *more, models=("slow",), tasks=TASKS, name="out"):
        flags = [word for model in models for word in ("--model", f"python:cluster_models:{model}")]
        folders = ["--output", str(self.folder / name), "--cache", str(self.folder / f"cache_{name}")]
        return ["run", *flags, "--tasks", tasks, *folders, "--device", "cpu", "--workers", "0", *more]

    def start(self, *more, launch=(), slow=0.0, **words):
        program = [*(launch or (sys.executable,)), str(HERE / "impatient.py")]
        self.process = subprocess.Popen(
            [*program, *self.words("--batch-size", "16", *more, **words)],
            env={**self.environment, "SLOW": str(slow)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        return self

    def end(self, timeout=300):
        """Return the exit code and what was written to standard error."""
        try:
            _, error = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"still waits after {timeout} s: {self.process.communicate()[1][-3000:]}")
        return self.process.returncode, error

    def until(self, what, seconds=180):
        """Return the first true value of what(), asked several times a second."""
        limit = time.monotonic() + seconds
        while not (value := what()):
            assert time.monotonic() < limit, "waited in vain"
            assert self.process is None or self.process.poll() is None, self.process.communicate()
            time.sleep(0.1)
        return value

    def encoded(self):
        """Images encoded by each worker so far."""
        return [int(path.read_text() or 0) for path in sorted(self.workers.iterdir(), key=lambda p: p.stat().st_mtime)]

    def records(self, name="out"):
        """The records by file name, without times and environment."""
        records = {}
        for path in sorted((self.folder / name).glob("*/[!.]*.json")):
            record = json.loads(path.read_text())
            del record["timing"], record["environment"], record["efficiency"], record["request"], record["checksum"]
            records[path.name] = record
        return records


@pytest.fixture
def run(tmp_path):
    """A run in this test's folder."""
    started = Run(tmp_path, dict(os.environ))
    yield started
    if started.process is not None and started.process.poll() is None:
        started.process.kill()


@pytest.fixture(scope="session")
def local(tmp_path_factory):
    """The records of a run in one process."""
    alone = Run(tmp_path_factory.mktemp("local"), dict(os.environ))
    code, error = alone.start().end()
    assert code == 0, error
    return alone.records()
