"""Two processes under torchrun: each image and question is processed once, the records equal those of one process, and
a stopped pass can be resumed by a different number of processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlcd_eval.cli import main
from mlcd_eval.features import encode
from mlcd_eval.records import read_all

PROGRAM = """
import json, os, sys
sys.path.insert(0, "tests")
import tiny_encoder
from mlcd_eval.features import encode
encode.CHUNK = 16
from mlcd_eval.cli import main
stop = int(os.environ.get("STOP_AFTER", "0"))
encode_images = tiny_encoder.TinyEncoder.encode_images
def stopping(self, pixels, layers):
    if stop and tiny_encoder.TinyEncoder.images_seen >= stop:
        os._exit(9)
    return encode_images(self, pixels, layers)
tiny_encoder.TinyEncoder.encode_images = stopping
code = main(sys.argv[1:])
counts = [tiny_encoder.TinyEncoder.images_seen, tiny_encoder.RedFinder.asked]
with open(__file__ + ".counts." + os.environ["RANK"], "w") as file:
    json.dump(counts, file)
sys.exit(code)
"""


@pytest.fixture
def run_on_two_ranks(tmp_path, unused_port):
    """A function that runs the program on two ranks and returns {rank: (images encoded, questions asked)}."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(*arguments, check=True, **environment):
        launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={unused_port}"]
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd()), **environment}
        done = subprocess.run(
            [*launch, str(program), *arguments],
            env=variables, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr[-3000:]
        # files rather than standard output, where the two processes could write into each other's lines
        return {
            int(path.suffix[1:]): tuple(json.loads(path.read_text())) for path in tmp_path.glob("program.py.counts.*")
        }

    return run


def flags(tmp_path, name, model="make", tasks="[!a]*/demo_c*"):
    folders = ["--output", str(tmp_path / name), "--cache", str(tmp_path / f"cache_{name}"), "--workers", "0"]
    return ["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *folders, "--batch-size", "5"]


def numbers(folder):
    """The contents of all records except times and environment."""
    return {
        r.task.name: r.model_dump(mode="json", exclude={"timing", "environment", "efficiency"})
        for r in read_all([folder])
    }


def test_two_processes_share_the_encoding_and_agree_with_one(tmp_path, run_on_two_ranks, monkeypatch):
    monkeypatch.setattr(encode, "CHUNK", 16)  # as in PROGRAM: the last bits depend on how images are batched
    assert main(flags(tmp_path, "one")) == 0
    counts = run_on_two_ranks(*flags(tmp_path, "two"))
    assert sum(images for images, _ in counts.values()) == 450 + 235 + 300
    assert min(images for images, _ in counts.values()) > 400
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")
    assert json.loads((tmp_path / "two" / "tiny_encoder_make" / "knn__demo_clipart.json").read_text())["status"] == "ok"


@pytest.mark.slow
def test_another_number_of_processes_resumes(tmp_path, run_on_two_ranks, monkeypatch):
    run_on_two_ranks(*flags(tmp_path, "two", tasks="knn/demo_clipart"), check=False, STOP_AFTER="100")
    parts = list((tmp_path / "cache_two").rglob("parts/*.part"))
    assert 4 <= len(parts) < 29
    monkeypatch.setattr(encode, "CHUNK", 16)
    assert main(flags(tmp_path, "two", tasks="knn/demo_clipart")) == 0
    assert main(flags(tmp_path, "one", tasks="knn/demo_clipart")) == 0
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")


def test_questions_are_shared_too(tmp_path, run_on_two_ranks):
    tasks = "refcoco/demo,docvqa/demo"
    assert main(flags(tmp_path, "one", "red_finder", tasks)) == 0
    counts = run_on_two_ranks(*flags(tmp_path, "two", "red_finder", tasks))
    assert sum(questions for _, questions in counts.values()) == 154 + 72
    assert min(questions for _, questions in counts.values()) > 80
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")


def test_a_mistake_stops_all_ranks(tmp_path, run_on_two_ranks):
    counts = run_on_two_ranks(*flags(tmp_path, "two", tasks="knn/nothing"), check=False)
    assert set(counts.values()) == {(0, 0)}  # torchrun may end a rank before it has written its counts
