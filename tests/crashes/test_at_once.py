"""Several runs on the same cache at once, and two trainings with the same output."""

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
count, outputs, folder, model, tasks = int(sys.argv[1]), *sys.argv[2:]
children = []
for number in range(count):
    child = os.fork()
    if child == 0:
        output = f"{folder}/{number if outputs == 'separate' else 0}/out"
        words = ["--output", output, "--cache", f"{folder}/cache", "--workers", "0", "--batch-size", "16"]
        code = main(["run", "--model", f"python:tiny_encoder:{model}", "--tasks", tasks, *words])
        counts = [code, tiny_encoder.TinyEncoder.images_seen, tiny_encoder.RedFinder.asked]
        with open(f"{folder}/{number}.counts", "w") as file:
            json.dump(counts, file)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    ("count", "outputs"),
    [
        (2, "same"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((8, "separate"), (2, "separate"), (8, "same"))),
    ],
)
def test_runs_at_once_on_one_cache(tmp_path, expected, count, outputs):
    """Each image is encoded by only one of the runs, and all records equal those of a single run."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(folder, model, tasks):
        command = [sys.executable, "-c", AT_ONCE, str(count), outputs, str(folder), model, tasks]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
        counts = [json.loads(path.read_text()) for path in folder.glob("*.counts")]
        assert len(counts) == count and all(code == 0 for code, _, _ in counts), done.stderr[-3000:]
        assert "damaged" not in done.stderr and "Traceback" not in done.stderr
        return sum(images for _, images, _ in counts), sum(questions for _, _, questions in counts)

    folder = tmp_path / outputs
    assert run(folder, "make", TASKS) == (985, 0)
    output_folders = [path for path in folder.iterdir() if path.name.isdigit()]
    assert len(output_folders) == (1 if outputs == "same" else count)
    assert all(records(output) == expected for output in output_folders)
    if count == 2:
        assert run(tmp_path / f"{outputs}_predictions", "red_finder", "refcoco/demo,docvqa/demo") == (0, 154 + 72)
