"""Stages: done once, refused when made by other settings, every mistake told before anything is written."""

import shutil

import pytest
import torch
from tiny_encoder import TinyEncoder

from mlcd_eval.errors import ConfigError, DataError, IncompatibleError
from mlcd_eval.progress import Progress
from mlcd_train.assignment import Labels, load_labels, save_labels
from mlcd_train.cli import main
from mlcd_train.stages import TrainingRun


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
    assert again.progress.lines == [f"{stage}: done before" for stage in again.stages]
    assert snapshot(first.config.output) == before
    assert TinyEncoder.images_seen == 0


def test_labels_are_the_nearest_clusters_of_the_same_data(make_config):
    run = training(make_config())
    run.run()
    labels = load_labels(run.config.output / "assign" / "labels.safetensors", run.split.scan().fingerprint)
    assert len(labels.keys) == 40 and labels.classes.shape == (40, 3) and labels.num_classes == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("cluster.k=13", r"cluster was made by another config: k was 12 and is 13 \(choose another output"),
        ("assign.labels=2", r"assign was made by another config: labels was 3 and is 2"),
        ("fit.optimizer.lr=0.1", r"fit was made by another config: optimizer was .* and is "),
        ("embed.source=text", r"embed was made by another config: source was \"image\" and is \"text\""),
    ],
)
def test_other_settings_are_refused_and_nothing_is_overwritten(make_config, change, told):
    run = training(make_config())
    run.run()
    before = snapshot(run.config.output)
    with pytest.raises(ConfigError, match=told):
        training(make_config(change)).run()
    assert snapshot(run.config.output) == before


def test_settings_that_change_no_weight_may_change(make_config):
    training(make_config()).run()
    training(make_config("fit.log_every=2", "fit.keep=1", "data.workers=1")).run()


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
        run.run_stage("cluster")
    with pytest.raises(ConfigError, match="lit: the config has no section lit, expected one of embed, cluster"):
        run.run_stage("lit")


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        (("cluster.k=41",), ConfigError, "cluster.k: got 41, expected at most 40, the number of images"),
        (("data.train=wds:mlcd_eval/demo_data/wds_demo_clipart", "embed.source=mean"), IncompatibleError, "captions"),
        (("data.train=wds:nowhere",), DataError, "nowhere"),
        (("data.split=test",), DataError, "has no split 'test'"),
        (("embed.model=pyton:x:y",), ConfigError, "mean 'python'"),
        (("fit.evaluate={every: 2, tasks: [knn/demo_clip]}",), ConfigError, "mean 'knn/demo_clipart'"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(make_config, changes, error, told):
    config = make_config(*changes)
    with pytest.raises(error, match=told):
        training(config).run()
    assert not config.output.exists()


def test_labels_of_another_dataset(make_config, monkeypatch):
    run = training(make_config())
    for stage in ("embed", "cluster", "assign"):
        run.run_stage(stage)
    path = run.config.output / "assign" / "labels.safetensors"
    labels = load_labels(path)
    save_labels(path, Labels(labels.keys, labels.classes, labels.similarities, 12, "0" * 64, labels.centres))
    with pytest.raises(DataError, match="labels another dataset: got fingerprint 000000000000"):
        run.run_stage("fit")


def test_the_command_line_runs_a_stage_at_a_time(make_config, capsys):
    make_config(lit=True)
    path = str(make_config.path())
    for stage in ("embed", "cluster", "assign", "fit", "lit", "export"):
        assert main([stage, path]) == 0
    assert "checkpoint: " in capsys.readouterr().err
    assert main(["run", path]) == 0
    assert "embed: done before" in capsys.readouterr().err


def test_the_command_line_tells_mistakes_in_one_sentence(make_config, tmp_path, capsys):
    make_config()
    path = str(make_config.path())
    assert main(["run", path, "--set", "fit.ratio=2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["run", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml is missing, expected a YAML file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["rnu", path])
    assert stopped.value.code == 2
    assert "did you mean 'run'" in capsys.readouterr().err
