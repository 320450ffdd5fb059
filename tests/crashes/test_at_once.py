"""Many runs on one cache, and two trainings of one output."""

import json
import os
import subprocess
import sys

import pytest
from disturbed import TASKS, before_step, records


def test_two_trainings_do_not_share_an_output(tmp_path, monkeypatch, capsys, train):
    def again():
        assert train(tmp_path) == 2

    before_step(monkeypatch, 3, again)
    assert train(tmp_path) == 0
    assert f"mlcd-train: error: output: another mlcd-train is running in {tmp_path}/out" in capsys.readouterr().err
    assert train.weights(tmp_path) == train.expected


AT_ONCE = """
import json, os, sys
sys.path.insert(0, "tests")
import tiny_encoder
from mlcd_eval.features import encode
encode.CHUNK = 16
from mlcd_eval.cli import main
import mlcd_eval.running.run, mlcd_eval.tables.summary
count, apart, place, model, tasks = int(sys.argv[1]), *sys.argv[2:]
children = []
for number in range(count):
    child = os.fork()
    if child == 0:
        output = f"{place}/{number if apart == 'apart' else 0}/out"
        words = ["--output", output, "--cache", f"{place}/cache", "--workers", "0", "--batch-size", "16"]
        code = main(["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *words])
        seen = [code, tiny_encoder.TinyEncoder.images_seen, tiny_encoder.RedFinder.asked]
        with open(f"{place}/{number}.seen", "w") as file:
            json.dump(seen, file)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(("count", "name"), [(2, "apart"), (8, "apart"), (2, "same"), (8, "same")])
def test_runs_at_once_on_one_cache(tmp_path, expected, count, name):
    """Each image is encoded once over all of them, and all records are as from one run alone."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(place, model, tasks):
        command = [sys.executable, "-c", AT_ONCE, str(count), name, str(place), model, tasks]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
        seen = [json.loads(path.read_text()) for path in place.glob("*.seen")]
        assert len(seen) == count and all(code == 0 for code, _, _ in seen), done.stderr[-3000:]
        assert "damaged" not in done.stderr and "Traceback" not in done.stderr
        return sum(images for _, images, _ in seen), sum(asked for _, _, asked in seen)

    place = tmp_path / name
    assert run(place, "make", TASKS) == (985, 0)
    outputs = [path for path in place.iterdir() if path.name.isdigit()]
    assert len(outputs) == (1 if name == "same" else count)
    assert all(records(output) == expected for output in outputs)
    if count == 2:
        assert run(tmp_path / f"{name}_asked", "red_finder", "refcoco/demo,docvqa/demo") == (0, 154 + 72)
