"""`mlcd-eval watch`: complete checkpoints only, oldest first, each evaluated once, whatever kills the watch."""

import io
import json
from pathlib import Path

import pytest
import torch
from own_data import items, write_wds
from safetensors.torch import save_file

from mlcd_eval.cli import main
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError
from mlcd_eval.records import ResultStore, read_all
from mlcd_eval.request import RunRequest
from mlcd_eval.running import watching
from mlcd_eval.running.checkpoints import find_checkpoints
from mlcd_eval.running.result_log import ResultLog
from mlcd_eval.running.watching import Watch

TINY = {"image_size": 8, "patch_size": 4, "width": 8, "depth": 1, "heads": 1}


def checkpoint(folder, step):
    """A checkpoint of mlcd-train with weights of its own."""
    torch.manual_seed(step)
    model = DualEncoder(CheckpointConfig(vision=TINY, preprocess=Preprocess(image_size=8)))
    save_checkpoint(folder / "checkpoints" / f"run_step{step}", model)


@pytest.fixture
def request_(tmp_path):
    data = write_wds(tmp_path / "wds_mine", {"train": items(24), "test": items(6)})
    common = {"tasks": ("knn",), "datasets": (f"wds:{data}",), "workers": 0, "device": "cpu"}
    return RunRequest(models=("x",), output=tmp_path / "out", cache=tmp_path / "cache", settings={"ks": [1]}, **common)


def start(tmp_path, request, log_to=()):
    return Watch(tmp_path / "training", request, ResultLog(log_to, request.output, training="training"))


class Killed(BaseException):
    """What nothing catches."""


def dies_at(monkeypatch, owner, name, call, before):
    """Let the program die at the call-th call of a function, before or after it does its work."""
    real, calls = getattr(owner, name), []

    def function(*args):
        calls.append(args)
        if len(calls) == call and before:
            raise Killed
        result = real(*args)
        if len(calls) == call:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, function)


def test_ten_checkpoints_and_three_kills_give_ten_records_none_twice(tmp_path, request_, monkeypatch):
    steps = [1000 * number for number in range(1, 11)]
    written = []
    write = ResultStore.write

    def writes(store, result, samples):
        written.append(result.model.name)
        return write(store, result, samples)

    monkeypatch.setattr(ResultStore, "write", writes)
    kills = [
        (ResultStore, "write", 2, True),  # while the record of the second is made
        (Watch, "_note", 1, True),  # the record of the second is there, but not noted
        (watching, "write_text", 2, True),  # the curve is written, the journal is not
    ]
    for number, kill in enumerate(kills):
        for step in steps[3 * number : 3 * number + 3]:
            checkpoint(tmp_path / "training", step)
        with monkeypatch.context() as patch:
            dies_at(patch, *kill)
            watch = start(tmp_path, request_)
            with pytest.raises(Killed):
                list(watch.evaluate_new())
            watch.close()  # a killed process holds no lock
    checkpoint(tmp_path / "training", steps[9])
    watch = start(tmp_path, request_)
    assert all(len(results) == 1 for results in watch.evaluate_new())
    assert list(watch.evaluate_new()) == []
    watch.close()

    names = [f"run_step{step}" for step in steps]
    assert written == names  # each once, oldest first
    results = {result.model.name: result for result in read_all([request_.output])}
    assert set(results) == set(names)
    assert len({result.model.fingerprint for result in results.values()}) == 10
    lines = [json.loads(line) for line in (request_.output / "curve" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == steps
    metric = results["run_step5000"].primary
    name = f"{results['run_step5000'].task.name}/{metric.name}"
    assert [lines[4][f"{name}{end}"] for end in ("", "_low", "_high")] == [metric.value, *metric.ci95]


def test_a_failure_is_reported_once_and_tried_again_after_a_restart(tmp_path, request_, monkeypatch):
    class Lines(watching.Progress):
        def __init__(self):
            self.lines = []

        def say(self, line):
            self.lines.append(line)

    for step in (1, 2):
        checkpoint(tmp_path / "training", step)
    config = tmp_path / "training" / "checkpoints" / "run_step1" / "config.json"
    whole = config.read_text()
    config.write_text(whole.replace('"depth": 1', '"depth": 2'))
    progress = Lines()
    watch = Watch(tmp_path / "training", request_, ResultLog((), request_.output), progress)
    assert [len(results) for results in watch.evaluate_new()] == [0, 1]
    assert list(watch.evaluate_new()) == []
    assert len([line for line in progress.lines if line.startswith("failed: ")]) == 1
    watch.close()
    config.write_text(whole)
    watch = start(tmp_path, request_)
    assert [results[0].model.name for results in watch.evaluate_new()] == ["run_step1"]
    watch.close()


def test_another_request_evaluates_again_and_a_checkpoint_written_again_too(tmp_path, request_):
    checkpoint(tmp_path / "training", 1)

    def names(request):
        watch = start(tmp_path, request)
        evaluated = [results[0].model.name for results in watch.evaluate_new()]
        watch.close()
        return evaluated

    assert names(request_) == ["run_step1"] and names(request_) == []
    assert names(request_.model_copy(update={"limit": 4})) == ["run_step1"]
    assert names(request_.model_copy(update={"limit": 4, "batch_size": 2})) == []
    checkpoint(tmp_path / "training", 1)
    assert names(request_.model_copy(update={"limit": 4})) == ["run_step1"]


def test_two_watches_of_one_output_and_wrong_tasks_are_refused(tmp_path, request_):
    (tmp_path / "training").mkdir()
    watch = start(tmp_path, request_)
    with pytest.raises(ConfigError, match="another watch is writing to"):
        start(tmp_path, request_)
    watch.close()
    with pytest.raises(ConfigError, match="knnn"):
        start(tmp_path, request_.model_copy(update={"tasks": ("knnn",)}))
    with pytest.raises(ConfigError, match="there is no folder"):
        start(tmp_path / "nowhere", request_)


def test_the_command_prints_results_and_writes_a_report_with_curves(tmp_path, request_, capsys):
    for step in (1, 2):
        checkpoint(tmp_path / "training", step)
    words = ["watch", str(tmp_path / "training"), "--tasks", "knn", "--dataset", request_.datasets[0], "--once"]
    words += [
        "--output",
        str(tmp_path / "out"),
        "--cache",
        str(tmp_path / "cache"),
        "--workers",
        "0",
        "--device",
        "cpu",
    ]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.count("run_step") == 2 and printed.endswith(f"Report: {tmp_path / 'out' / 'report.html'}\n")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "out/curve: knn/" in page and "has no outcomes of samples" not in page and 'id="two-models"' in page
    assert main(words) == 0
    assert capsys.readouterr().out == ""


# which checkpoints are complete


def weights(path, length=None):
    save_file({"a": torch.zeros(3), "b": torch.ones(2)}, path, {"format": "pt"})
    if length is not None:
        path.write_bytes(path.read_bytes()[:length])


def trainer_checkpoint(folder, step, shards=(), state="{}{}"):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "config.json").write_text('{"architectures": ["CLIPModel"]}')
    if shards:
        index = {"weight_map": {f"layer{number}": shard for number, shard in enumerate(shards)}}
        (path / "model.safetensors.index.json").write_text(json.dumps(index))
        for shard in shards:
            weights(path / shard)
    else:
        weights(path / "model.safetensors")
    (path / "trainer_state.json").write_text('{"global_step": 1}')
    return path


def found(folder):
    return [(checkpoint.path.name, checkpoint.step) for checkpoint in find_checkpoints(folder)]


def test_the_trainer_s_checkpoints_by_step_and_only_complete_ones(tmp_path):
    trainer_checkpoint(tmp_path, 1000)
    trainer_checkpoint(tmp_path, 500, ("model-1.safetensors", "model-2.safetensors"))
    for step, damage in (
        (1, lambda path: (path / "trainer_state.json").unlink()),
        (2, lambda path: (path / "trainer_state.json").write_text('{"global_st')),
        (3, lambda path: weights(path / "model.safetensors", length=100)),
        (4, lambda path: (path / "model.safetensors").write_bytes(b"")),
        (5, lambda path: (path / "model.safetensors").unlink()),
        (6, lambda path: (path / "config.json").unlink()),
    ):
        damage(trainer_checkpoint(tmp_path, step))
    short = trainer_checkpoint(tmp_path, 7, ("model-1.safetensors", "model-2.safetensors"))
    (short / "model-2.safetensors").unlink()
    (tmp_path / "checkpoint-best").mkdir()
    assert found(tmp_path) == [("checkpoint-500", 500), ("checkpoint-1000", 1000)]
    assert find_checkpoints(tmp_path)[0].spec == f"hf:{tmp_path}/checkpoint-500"
    assert find_checkpoints(tmp_path)[0].model == "checkpoint-500"


def open_clip_run(folder, params="model: ViT-B-32\nprecision: amp\nforce_image_size: None\n"):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "params.txt").write_text(params)
    file = io.BytesIO()
    torch.save({"epoch": 1, "state_dict": {"a": torch.zeros(3)}}, file)
    for epoch in (2, 10):
        (folder / "checkpoints" / f"epoch_{epoch}.pt").write_bytes(file.getvalue())
    (folder / "checkpoints" / "epoch_11.pt").write_bytes(file.getvalue()[:-30])
    (folder / "checkpoints" / "epoch_latest.pt").write_bytes(file.getvalue())
    return folder


def test_open_clip_s_epochs_with_the_architecture_of_params_txt(tmp_path):
    open_clip_run(tmp_path / "a")
    assert found(tmp_path / "a") == [("epoch_2.pt", 2), ("epoch_10.pt", 10)]
    assert find_checkpoints(tmp_path / "a")[0].model == "epoch_2"
    assert find_checkpoints(tmp_path / "a")[0].spec == f"open_clip:ViT-B-32/{tmp_path}/a/checkpoints/epoch_2.pt"
    open_clip_run(tmp_path / "b", "model: ViT-B-32\nforce_quick_gelu: True\n")
    assert find_checkpoints(tmp_path / "b")[0].spec.startswith("open_clip:ViT-B-32-quickgelu/")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("model: ViT-B-33\n", "has model: ViT-B-33, expected an architecture .did you mean 'ViT-B-32'"),
        ("model: ViT-B-32\nforce_image_size: 336\n", "has force_image_size: 336, which"),
        (None, r"there is no .*params\.txt"),
    ],
)
def test_an_open_clip_training_that_cannot_be_rebuilt(tmp_path, params, message):
    folder = open_clip_run(tmp_path / "a", params or "")
    if params is None:
        (folder / "params.txt").unlink()
    with pytest.raises(ConfigError, match=message):
        find_checkpoints(folder)


def test_ours_once_they_are_renamed(tmp_path):
    for step in (20, 3):
        checkpoint(tmp_path, step)
    Path(tmp_path / "checkpoints" / "run_step3").rename(tmp_path / "checkpoints" / ".run_step3.tmp")
    assert found(tmp_path) == [("run_step20", 20)]
    assert found(tmp_path / "checkpoints") == [("run_step20", 20)]


def test_a_checkpoint_that_is_deleted_while_it_is_looked_at_is_left_out(tmp_path, monkeypatch):
    trainer_checkpoint(tmp_path, 1)
    trainer_checkpoint(tmp_path, 2)

    def identity(path):
        if "checkpoint-1" in str(path):
            raise FileNotFoundError(path)
        return str(path)

    monkeypatch.setattr("mlcd_eval.running.checkpoints.file_identity", identity)
    assert found(tmp_path) == [("checkpoint-2", 2)]
