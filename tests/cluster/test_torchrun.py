"""Ranks of torchrun that are killed, see other things than rank 0, or never start."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster


@pytest.fixture
def torchrun(unused_port):
    def launch(*options):
        return (sys.executable, "-m", "torch.distributed.run", f"--master-port={unused_port}", *options)

    return launch


def process_of_rank(launcher, rank):
    for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    return None


@pytest.mark.parametrize("rank", [0, 1])
def test_after_a_kill_the_ranks_join_again(run, local, torchrun, rank):
    run.start(launch=torchrun("--nproc-per-node=2", "--max-restarts=2"), slow=0.3)
    run.until(lambda: len(run.encoded()) == 2)
    os.kill(process_of_rank(run.process.pid, rank), signal.SIGKILL)
    code, error = run.end()
    assert code == 0, error
    assert len(run.encoded()) == 4
    assert run.records() == local


def test_without_restarts_the_other_rank_ends(run, torchrun):
    run.start(launch=torchrun("--nproc-per-node=2"), slow=0.3)
    run.until(lambda: len(run.encoded()) == 2)
    os.kill(process_of_rank(run.process.pid, 1), signal.SIGKILL)
    code, _ = run.end()
    assert code == 1


def test_ranks_with_different_weights_stop_before_they_encode(run, torchrun):
    code, error = run.start(launch=torchrun("--nproc-per-node=2"), models=("sees",)).end()
    assert code == 1
    assert re.search("model python:cluster_models:sees differs between ranks: rank 0 has .*, rank 1 has ", error), error
    assert "Traceback" not in error.partition("torch/distributed")[0]
    assert run.encoded() == [] and run.records() == {}


BY_RANK = """
import os, sys
words = [word.replace("RANK", os.environ["RANK"]) for word in sys.argv[1:]]
from mlcd_eval.cli import main
sys.exit(main(words))
"""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["--cache", "{folder}/cacheRANK"], "rank 0 does not see what rank 1 writes there"),
        (["--seed", "RANK"], "request differs between ranks"),
        (["--dataset", "imagefolder:{folder}/dataRANK", "--tasks", "knn"], "split 'test' differs between ranks"),
    ],
)
def test_ranks_that_see_other_things_say_which(run, torchrun, changes, sentence):
    from PIL import Image

    for rank in range(2):
        for number in range(12):
            path = run.folder / f"data{rank}" / ("train", "test")[number % 2] / f"class{number // 6}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (20 * number + rank, 9, 9)).save(path)
    program = run.folder / "by_rank.py"
    program.write_text(BY_RANK)
    words = [*run.words(), *(word.format(folder=run.folder) for word in changes)]
    done = subprocess.run(
        [*torchrun("--nproc-per-node=2"), str(program), *words],
        env=run.environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and sentence in done.stderr, done.stderr
    assert run.encoded() == []


def test_a_rank_that_never_starts_is_not_waited_for(run, unused_port):
    program = (
        "from datetime import timedelta\nimport torch\nfrom mlcd_eval.support import distributed\n"
        "distributed.ARRIVE = timedelta(seconds=3)\n"
        "with distributed.ranks(torch.device('cpu')):\n    pass\n"
    )
    variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(unused_port)}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**run.environment, **variables},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "torchrun: the ranks did not meet at 127.0.0.1" in done.stderr and "1/2 clients joined" in done.stderr
