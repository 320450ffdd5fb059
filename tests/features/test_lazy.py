"""A model that need not be loaded is not, and what is loaded is what was known."""

import json
import subprocess
import sys

import open_clip
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from mlcd_eval.api import evaluate
from mlcd_eval.cli import main
from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.encoders.registry import load_encoder, parse
from mlcd_eval.errors import CheckpointError
from mlcd_eval.features.lazy import open_encoder
from mlcd_eval.support.bundled import demo_data_dir

CPU = torch.device("cpu")


def cpu():
    return CPU


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small open_clip folder."""
    folder = tmp_path_factory.mktemp("small_clip")
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
    config = {"model_cfg": {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    weights = open_clip.model.CLIP(**config["model_cfg"]).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "open_clip_model.safetensors")
    return folder


def test_what_is_known_is_what_is_loaded(model, tmp_path):
    spec, said = f"open_clip:local-dir:{model}", []
    first = open_encoder(spec, cpu, "fp32", tmp_path, said.append)
    assert said == [f"loading {spec}"]
    again = open_encoder(spec, cpu, "fp32", tmp_path, said.append)
    assert first.info == again.info == load_encoder(spec).info
    assert again.device == CPU and len(said) == 1
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        ours, theirs = (
            encoder.encode_images(pixels, ["projected"])["projected"] for encoder in (again, load_encoder(spec))
        )
    assert torch.equal(ours, theirs) and again.reentrant
    assert len(said) == 2


def test_changed_files_are_another_model(model, tmp_path):
    spec = f"open_clip:local-dir:{model}"
    before = open_encoder(spec, cpu, "fp32", tmp_path).info
    known = open_encoder(spec, cpu, "fp32", tmp_path)
    path = model / "open_clip_model.safetensors"
    weights = load_file(path)
    save_file({name: tensor + 1 for name, tensor in weights.items()}, path)
    with pytest.raises(CheckpointError, match="changed while it was in use"):
        known.encode_texts(["a"])
    after = open_encoder(spec, cpu, "fp32", tmp_path).info
    assert after.fingerprint != before.fingerprint


def test_a_run_whose_features_are_kept_loads_no_model(model, tmp_path, monkeypatch):
    spec = f"open_clip:local-dir:{model}"
    tasks = ["zeroshot/demo_clipart", "retrieval/demo_captions", "linear_probe/demo_clipart"]

    def scores(folder):
        results = evaluate(spec, tasks, output=tmp_path / folder, cache=tmp_path / "cache")
        return {(one.task.name, m.name): (m.value, m.ci95) for one in results for m in one.metrics}

    cold = scores("cold")
    monkeypatch.setattr("mlcd_eval.features.lazy.load_encoder", lambda *_, **__: pytest.fail("was loaded"))
    assert scores("warm") == cold


@pytest.mark.parametrize("trusted", [False, True])
def test_code_of_a_repository_runs_only_with_the_flag_whichever_command_loads_it(tmp_path, monkeypatch, trusted):
    """What the loader is given by `run`, by a text encoder beside the model, and by `encode`."""
    given = {}

    def loaded(spec, *, trust_remote_code, offline):
        given.setdefault(spec, []).append((trust_remote_code, offline))
        return load_encoder(spec)

    monkeypatch.setattr("mlcd_eval.features.lazy.load_encoder", loaded)
    flags = ["--cache", str(tmp_path / "cache"), "--workers", "0", *(["--trust-remote-code"] if trusted else [])]
    blind, seeing = "python:tiny_encoder:vision_only", "python:tiny_encoder:make"
    task = {"name": "refcoco/mine", "version": 1, "protocol": "refcoco", "description": "x", "dataset": "refdemo"}
    task["settings"] = {"mode": "probe", "split": "testA", "steps": 1, "text_encoder": seeing}
    (tmp_path / "mine.yaml").write_text(json.dumps(task))
    run = ["run", "--model", blind, "--tasks", str(tmp_path / "mine.yaml"), "--output", str(tmp_path / "out"), *flags]
    assert main([*run, "--limit", "4", "--offline"]) == 0
    assert given == {blind: [(trusted, True)], seeing: [(trusted, True)]}
    given.clear()
    encode = ["encode", "--model", seeing, "--dataset", f"wds:{demo_data_dir()}/wds_demo_captions", *flags]
    assert main([*encode, "--split", "test", "--limit", "4", "--output", str(tmp_path / "f.npy")]) == 0
    assert given == {seeing: [(trusted, False)]}


def test_a_changed_config_of_a_timm_folder_is_another_model(tmp_path):
    folder, said = tmp_path / "m", []
    folder.mkdir()
    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), folder / "model.safetensors")

    def info(pool):
        arguments = {"global_pool": pool, "fc_norm": False}
        config = {"architecture": "test_vit", "num_classes": 0, "pretrained_cfg": {}, "model_args": arguments}
        if not (folder / "config.json").is_file() or config != json.loads((folder / "config.json").read_text()):
            (folder / "config.json").write_text(json.dumps(config))
        return open_encoder(f"timm:local-dir:{folder}", cpu, "fp32", tmp_path / "cache", said.append).info

    assert info("token") == info("token") and len(said) == 1
    assert info("token").fingerprint != info("avg").fingerprint and len(said) == 2


def test_an_open_clip_folder_with_a_text_tower_from_elsewhere_is_not_remembered(tmp_path):
    files = KINDS["open_clip"].files
    for text, remembered in (({}, True), ({"hf_model_name": "org/name"}, False)):
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"text_cfg": text}}))
        assert bool(files(parse(f"open_clip:local-dir:{tmp_path}"))) == remembered


def test_others_models_are_loaded_at_once(tmp_path):
    said = []
    for _ in range(2):
        open_encoder("python:tiny_encoder:make", cpu, "fp32", tmp_path, said.append)
    assert len(said) == 2


def test_a_run_whose_records_are_kept_imports_nothing_heavy(model, tmp_path, capsys):
    """What the records depend on is checked all the same: the run after it makes those anew that no longer hold."""
    tasks = ["zeroshot/demo_clipart", "retrieval/demo_captions", "linear_probe/demo_clipart"]
    flags = ["run", "--model", f"open_clip:local-dir:{model}", "--tasks", ",".join(tasks), "--limit", "60"]
    flags += ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(flags) == 0
    table = capsys.readouterr().out
    code = "import sys; from mlcd_eval.cli import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(table) and done.stderr.count("kept the record") == len(tasks)
    heavy = {"torch", "open_clip", "transformers", "torchvision", "scipy", "sklearn", "pandas"}
    assert not heavy & set(done.stdout.split())

    def header(text):
        return [heading.strip() for heading in text.splitlines()[0].split("|")]

    def kept():
        assert main(flags) == 0
        out = capsys.readouterr()
        assert header(out.out) == header(table)
        return sorted(line.partition(":")[0] for line in out.err.splitlines() if "kept the record" in line)

    (record,) = (tmp_path / "out").glob("*/retrieval__*.json")
    record.write_text(record.read_text()[:-100])
    assert kept() == sorted(set(tasks) - {"retrieval/demo_captions"})
    assert kept() == sorted(tasks)
    path = model / "open_clip_model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path)
    assert kept() == []
