"""Stages: done once, refused when made by other settings, every mistake reported before anything is written."""

import json
import shutil
import sys
import tarfile

import pytest
import torch
from filelock import FileLock
from pairs import write_shard
from tiny_encoder import TinyEncoder

from mlcd_eval.errors import CheckpointError, ConfigError, DataError, IncompatibleError
from mlcd_eval.support.progress import Progress
from mlcd_train import checks, stages
from mlcd_train.cli import main
from mlcd_train.clustering import load_centres
from mlcd_train.embed import read_embedding
from mlcd_train.labels import LabelFiles
from mlcd_train.runlog import read_log
from mlcd_train.stages import TrainingRun
from mlcd_train.start import read_start


class Said(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def training(config):
    return TrainingRun(config, torch.device("cpu"), Said())


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_second_run_does_nothing(make_config):
    first = training(make_config(lit=True))
    first.run()
    before, TinyEncoder.images_seen = snapshot(first.config.output), 0
    again = training(make_config(lit=True))
    again.run()
    assert again.progress.lines == [f"{stage}: already done" for stage in again.stages]
    assert snapshot(first.config.output) == before
    assert TinyEncoder.images_seen == 0


def test_labels_are_the_nearest_clusters_of_the_same_data(make_config):
    run = training(make_config())
    run.run()
    labels = LabelFiles(run.config.output / "assign" / "labels", run.split.scan().fingerprint)
    embedding = read_embedding(run.config.output / "embed")
    centres = load_centres(run.config.output / "cluster" / "centres.safetensors")
    nearest = (torch.from_numpy(embedding.features.copy()) @ centres.T).argsort(dim=1, descending=True)[:, :3]
    assert labels.info.images == 40 and labels.info.num_classes == 12
    assert torch.equal(labels.classes_of(embedding.keys), nearest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cluster.k=13", r"cluster was made by another config: k was 12 and is 13 \(choose another output"),
        ("assign.labels=2", r"assign was made by another config: labels was 3 and is 2"),
        ("fit.optimizer.lr=0.1", r"fit was made by another config: optimizer.lr was 0.001 and is 0.1 \(choose"),
        ("embed.source=text", r"embed was made by another config: source was \"image\" and is \"text\""),
    ],
)
def test_other_settings_are_refused_and_nothing_is_overwritten(make_config, change, message):
    run = training(make_config())
    run.run()
    before = snapshot(run.config.output)
    with pytest.raises(ConfigError, match=message):
        training(make_config(change)).run()
    assert snapshot(run.config.output) == before


def test_settings_that_change_no_weight_may_change(make_config):
    training(make_config()).run()
    changes = ("fit.log_every=2", "fit.keep=1", "fit.accumulation=2", "data.workers=1", "data.allow_bad=0.1")
    training(make_config(*changes)).run()


@pytest.mark.parametrize(
    ("file", "contents", "error", "message"),
    [
        ("assign/done.json", "{", CheckpointError, "done.json is damaged"),
        ("assign/done.json", "[1]", CheckpointError, "done.json is damaged: got list"),
        ("embed/rows.json", "[]", DataError, "holds no features"),
        ("cluster/centres.safetensors", "x", DataError, "holds no class centres"),
        ("assign/labels/labels.json", "x", DataError, "holds no labels"),
    ],
)
def test_damaged_files_of_earlier_stages_are_reported(make_config, file, contents, error, message):
    run = training(make_config("fit.objective.centres=clusters", "model.embed_dim=32"))
    for stage in ("embed", "cluster"):
        run.run([stage])
    if file.startswith("assign"):
        run.run(["assign"])
    (run.config.output / file).write_text(contents)
    with pytest.raises(error, match=message):
        run.run()


def test_undecodable_images_that_are_allowed_pass_through_all_stages(pairs, make_config, tmp_path):
    root = tmp_path / "some_bad"
    shutil.copytree(pairs, root)
    with tarfile.open(pairs / "train" / "1.tar") as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    bad = {"s012.png", "s017.png"}
    write_shard(root / "train" / "1.tar", [(name, b"no image" if name in bad else data) for name, data in members])
    data = f"data.train=wds:{root}"
    with pytest.raises(DataError, match="s012"):
        training(make_config(data, lit=True)).run()
    run = training(make_config(data, "data.allow_bad=0.05", "fit.steps=10", lit=True))
    run.run()
    keys = read_embedding(run.config.output / "embed").keys
    assert read_log(run.config.output / "fit" / "log.jsonl")[-1]["bad_images"] > 0
    assert len(keys) == 38 and not {"s012", "s017"} & set(keys)
    labels = LabelFiles(run.config.output / "assign" / "labels")
    assert labels.info.images == 38 and labels.classes_of(keys).shape == (38, 3)


def test_one_run_at_a_time_has_the_output(make_config):
    config = make_config()
    config.output.mkdir()
    with FileLock(config.output / ".lock"), pytest.raises(ConfigError, match="another mlcd-train is running in"):
        training(config).run()


def test_an_off_the_shelf_checkpoint_trained_anew_is_another(make_config):
    clip = training(make_config(objective="clip", name="clip"))
    clip.run()
    change = f"embed.model={clip.checkpoint}"
    training(make_config(change)).run()
    shutil.rmtree(clip.config.output)
    training(make_config("seed=1", objective="clip", name="clip")).run()
    with pytest.raises(ConfigError, match="embed was made by another config: model was"):
        training(make_config(change)).run()


def test_stages_come_one_after_the_other(make_config):
    run = training(make_config())
    with pytest.raises(ConfigError, match=r"cluster: embed is not done in .* \(run `mlcd-train embed`"):
        run.run(["cluster"])
    with pytest.raises(ConfigError, match="lit: the config has no section lit, expected one of embed, cluster"):
        run.run(["lit"])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (("cluster.k=41",), ConfigError, "cluster.k: got 41, expected at most 40, the number of images"),
        (("data.train=wds:mlcd_eval/demo_data/wds_demo_clipart", "embed.source=mean"), IncompatibleError, "captions"),
        (("data.train=wds:nowhere",), DataError, "nowhere"),
        (("data.split=test",), DataError, "has no split 'test'"),
        (("data.streams=5",), ConfigError, "data.streams: got 5, expected at most 4, the shards of"),
        (("fit.compile=true",), ConfigError, r"fit.compile: true needs a C\+\+ compiler, got none of no_compiler"),
        (
            ("fit.objective.centres=clusters",),
            ConfigError,
            "centres is clusters, of the 32 dimensions of embed.model: expected model.embed_dim equal to that, got 16",
        ),
        (("data.streams=3",), ConfigError, "data.streams: got 3, expected a divisor of batch_size 8"),
        (("cache=/dev/null/x",), ConfigError, "folder /dev/null/x cannot be created: Not a directory"),
        (("output=/dev/null/x",), ConfigError, "folder /dev/null/x cannot be created: Not a directory"),
        (("embed.model=pyton:x:y",), ConfigError, "mean 'python'"),
        (("fit.evaluate={every: 2, tasks: [knn/demo_clip]}",), ConfigError, "mean 'knn/demo_clipart'"),
    ],
)
def test_mistakes_are_reported_before_anything_is_written(make_config, monkeypatch, changes, error, message):
    monkeypatch.setenv("CXX", "no_compiler")
    config = make_config(*changes)
    with pytest.raises(error, match=message):
        training(config).run()
    assert not config.output.is_dir()


def test_a_gpu_compiles_with_triton_and_a_c_compiler(monkeypatch, tmp_path):
    gpu = torch.device("cuda")
    monkeypatch.setenv("CC", "no_compiler")
    with pytest.raises(ConfigError, match=r"lit.compile: true needs a C compiler, got none of no_compiler"):
        checks._check_compiler("lit", gpu)
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package triton"):
        checks._check_compiler("fit", gpu)
    monkeypatch.setattr(checks, "find_spec", lambda name: name)
    monkeypatch.setattr(checks.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ConfigError, match=r"needs Python's headers, got no Python.h in"):
        checks._check_compiler("fit", gpu)


def test_a_batch_that_ranks_and_parts_do_not_share_and_too_few_classes(make_config, monkeypatch):
    monkeypatch.setattr(checks, "world_size", lambda: 16)
    with pytest.raises(ConfigError, match=r"^fit.batch_size: got 8, expected a multiple of 16 ranks, which share"):
        training(make_config()).check(["fit"])
    change = ("fit.batch_size=96", "fit.accumulation=4")
    with pytest.raises(ConfigError, match=r"got 96, expected a multiple of 16 ranks x 4 parts \(fit.accumulation\)"):
        training(make_config(*change)).check(["fit"])
    with pytest.raises(ConfigError, match=r"cluster.k: got 12 classes on 16 ranks, expected at least one per rank"):
        training(make_config("fit.batch_size=16")).check(["fit"])
    monkeypatch.setattr(checks, "world_size", lambda: 12)
    training(make_config("fit.batch_size=12")).check(["fit"])  # a class for each rank


def test_a_state_takes_the_bytes_that_the_disk_is_asked_for(make_config, monkeypatch):
    config = make_config("fit.ema=0.9", lit=True)
    run = training(config)
    run.run()
    for stage in ("fit", "lit"):
        state = max((config.output / stage / "state").glob("step_*"))
        on_disk = sum(path.stat().st_size for path in state.glob("*.safetensors"))
        assert checks.state_bytes(config, stage) == pytest.approx(on_disk, rel=0.12)  # the headers are long here


def test_a_full_disk_is_seen_before_the_first_stage(make_config, monkeypatch):
    config = make_config("model.vision={size: vit_base_16_224}", "fit.keep=3")
    usage = shutil.disk_usage(config.output.parent)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: usage._replace(free=1 << 30))
    # ViT-B/16 with a projection to 16: 85.8 million numbers, 12 bytes each, and 12 centres
    with pytest.raises(
        ConfigError,
        match=r"got 1.00 GiB free, expected 3.84 GiB: 5 KiB for features of 40 images of 32 dimensions, .*"
        r"3.84 GiB for 4 states of fit of 0.96 GiB each \(fit.keep\)$",
    ):
        training(config).run()
    assert not config.output.is_dir()


def test_features_that_the_store_has_need_no_more_room(make_config, monkeypatch):
    training(make_config(name="first")).run(["embed"])
    usage = shutil.disk_usage(".")
    # 40 rows of 32 numbers are 5,120 bytes, once in the run's folder and twice in the store
    for name, free in (("first", 0), ("again", 5_120)):
        monkeypatch.setattr(checks.shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        training(make_config(name=name)).check(["embed"])
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: usage._replace(free=3 * 5_120 - 1))
    with pytest.raises(ConfigError, match="of 32 dimensions in the feature store"):
        training(make_config(f"cache={make_config.path().parent / 'other'}", name="third")).check(["embed"])


def test_model_init_is_loaded_once(make_config, monkeypatch, tmp_path):
    training(make_config(name="first")).run()
    loaded = []
    monkeypatch.setattr(stages, "read_start", lambda model: loaded.append(model) or read_start(model))
    run = training(make_config(f"model.init={tmp_path / 'first' / 'mlcd_tiny'}", name="second"))
    run.run()
    assert len(loaded) == 1 and any("fit: starts from" in line for line in run.progress.lines)


def test_labels_of_another_dataset(make_config, monkeypatch):
    run = training(make_config())
    for stage in ("embed", "cluster", "assign"):
        run.run_stage(stage)
    path = run.config.output / "assign" / "labels" / "labels.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "0" * 64}))
    with pytest.raises(DataError, match="labels another dataset: got fingerprint 000000000000"):
        run.run_stage("fit")


def test_the_command_line_runs_a_stage_at_a_time(make_config, capsys):
    make_config(lit=True)
    path = str(make_config.path())
    for stage in ("embed", "cluster", "assign", "fit", "lit", "export"):
        assert main([stage, path]) == 0
    assert "checkpoint: " in capsys.readouterr().err
    assert main(["run", path]) == 0
    assert "embed: already done" in capsys.readouterr().err


def test_the_command_line_reports_mistakes_in_one_sentence(make_config, tmp_path, capsys):
    make_config()
    path = str(make_config.path())
    assert main(["run", path, "--set", "fit.objective.ratio=2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["run", path, "--set", "cluster.k=41"]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "run").exists()
    assert main(["run", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml is missing, expected a YAML file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["rnu", path])
    assert stopped.value.code == 2
    assert "did you mean 'run'" in capsys.readouterr().err
