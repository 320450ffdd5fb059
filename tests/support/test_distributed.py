"""Two processes under torchrun: each image and question once, the same records as one process, and a pass with which
another number of processes goes on."""

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
seen = tiny_encoder.TinyEncoder.encode_images
def counted(self, pixels, layers):
    if stop and tiny_encoder.TinyEncoder.images_seen >= stop:
        os._exit(9)
    return seen(self, pixels, layers)
tiny_encoder.TinyEncoder.encode_images = counted
code = main(sys.argv[1:])
seen = [tiny_encoder.TinyEncoder.images_seen, tiny_encoder.RedFinder.asked]
with open(__file__ + ".seen." + os.environ["RANK"], "w") as file:
    json.dump(seen, file)
sys.exit(code)
"""


@pytest.fixture
def together(tmp_path, unused_port):
    """Run the program on two ranks; the images that each encoded and the questions that each asked."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(*arguments, check=True, **environment):
        launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={unused_port}"]
        place = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd()), **environment}
        done = subprocess.run(
            [*launch, str(program), *arguments],
            env=place, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr[-3000:]
        # Files, not standard output: two processes may write into one another's lines.
        return {
            int(path.suffix[1:]): tuple(json.loads(path.read_text())) for path in tmp_path.glob("program.py.seen.*")
        }

    return run


def flags(tmp_path, name, model="make", tasks="*/demo_*"):
    places = ["--output", str(tmp_path / name), "--cache", str(tmp_path / f"cache_{name}"), "--workers", "0"]
    return ["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *places, "--batch-size", "5"]


def numbers(folder):
    """All that records hold but times and environment."""
    return {r.task.name: r.model_dump(mode="json", exclude={"timing", "environment"}) for r in read_all([folder])}


def test_two_processes_share_the_encode_and_agree_with_one(tmp_path, together, monkeypatch):
    monkeypatch.setattr(encode, "CHUNK", 16)  # as in PROGRAM: batches of few rows have other last bits
    assert main(flags(tmp_path, "one")) == 0
    seen = together(*flags(tmp_path, "two"))
    assert sum(images for images, _ in seen.values()) == 450 + 235 + 300
    assert min(images for images, _ in seen.values()) > 400
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")
    assert json.loads((tmp_path / "two" / "tiny_encoder_make" / "knn__demo_clipart.json").read_text())["status"] == "ok"


def test_another_number_of_processes_goes_on(tmp_path, together, monkeypatch):
    together(*flags(tmp_path, "two", tasks="knn/demo_clipart"), check=False, STOP_AFTER="100")
    parts = list((tmp_path / "cache_two").rglob("parts/*.part"))
    assert 4 <= len(parts) < 29
    monkeypatch.setattr(encode, "CHUNK", 16)
    assert main(flags(tmp_path, "two", tasks="knn/demo_clipart")) == 0
    assert main(flags(tmp_path, "one", tasks="knn/demo_clipart")) == 0
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")


def test_questions_are_shared_too(tmp_path, together):
    tasks = "refcoco/demo,docvqa/demo"
    assert main(flags(tmp_path, "one", "red_finder", tasks)) == 0
    seen = together(*flags(tmp_path, "two", "red_finder", tasks))
    assert sum(asked for _, asked in seen.values()) == 154 + 72
    assert min(asked for _, asked in seen.values()) > 80
    assert numbers(tmp_path / "two") == numbers(tmp_path / "one")


def test_a_mistake_is_told_once_and_stops_all(tmp_path, together):
    seen = together(*flags(tmp_path, "two", tasks="knn/nothing"), check=False)
    assert set(seen.values()) == {(0, 0)}  # torchrun may end one before it has written
