"""What is refused of a spec before any model library is imported, and what is just not refused."""

import json

import pytest

from mlcd_eval.encoders import checks
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import CheckpointError, ConfigError, UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Small lists of names, and a folder with a file of weights and a model of timm."""
    monkeypatch.setattr(checks, "open_clip_architectures", lambda: ["ViT-B-32", "RN50"])
    monkeypatch.setattr(checks, "open_clip_tags", lambda: {"ViT-B-32": ["openai", "laion2b_e16"]})
    monkeypatch.setattr(checks, "timm_models", lambda: {"vit_tiny": {"a1", "b2"}, "made": set(), "dotted.name": {"x"}})
    monkeypatch.setattr(checks, "torchvision_models", lambda: {"resnet18": ["IMAGENET1K_V1"]})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").touch()
    (tmp_path / "model.onnx").touch()
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "mine.py").touch()
    (tmp_path / "of_timm").mkdir()
    (tmp_path / "of_timm" / "config.json").write_text(json.dumps({"architecture": "vit_tiny"}))
    (tmp_path / "of_timm" / "model.safetensors").touch()
    return tmp_path


def check(kind, target, **options):
    text = f"{kind}:{target}" + "".join(f"&{name}={value}" for name, value in options.items())
    getattr(checks, f"check_{kind}")(Spec(text, kind, target, {name: str(value) for name, value in options.items()}))


GOOD = [
    ("open_clip", "ViT-B-32/openai", {}),
    ("open_clip", "ViT-B-32/LAION2B-E16", {}),
    ("open_clip", "RN50/w.pt", {"like": "openai"}),
    ("open_clip", "ViT-B-32", {"init": "random", "seed": 1}),
    ("open_clip", "hf-hub:a/b", {}),
    ("timm", "vit_tiny", {}),
    ("timm", "vit_tiny.a1", {"checkpoint": "w.pt", "test_size": "true"}),
    ("timm", "made.any", {"img_size": 8}),
    ("timm", "dotted.name", {}),
    ("timm", "hf-hub:a/b", {"init": "random"}),
    ("timm", "local-dir:of_timm", {}),
    ("timm", "local-dir:of_timm/model.safetensors", {}),
    ("torchvision", "resnet18", {"weights": "IMAGENET1K_V1"}),
    ("torchvision", "resnet18", {"weights": "w.pt"}),
    ("torchvision", "resnet18", {"init": "random", "seed": 2}),
    ("onnx", "model.onnx", {"mean": "0", "std": "1"}),
    ("onnx", "model.onnx", {"mean": "0", "std": "1", "text": "w.pt", "tokenizer": "tokenizer"}),
    ("python", "mine.py:make", {}),
    ("python", "a.b:make", {}),
]
BAD = [
    ("open_clip", "ViT-B-23/openai", {}, "has no architecture 'ViT-B-23', expected one of .* mean 'ViT-B-32'"),
    ("open_clip", "ViT-B-32", {}, "names no weights: expected open_clip:ViT-B-32/TAG with TAG one of openai, laion2b"),
    ("open_clip", "RN50", {}, "with TAG one of none known, a file, or"),
    ("open_clip", "ViT-B-32/opnai", {}, "has no weights 'opnai' for ViT-B-32, .* did you mean 'openai'|mean 'openai'"),
    ("open_clip", "ViT-B-32/openai", {"init": "random"}, "got init=random and weights 'openai', expected one of them"),
    ("open_clip", "hf-hub:a/b", {"like": "openai"}, "got like=, expected it with open_clip:ARCHITECTURE/FILE only"),
    ("open_clip", "local-dir:nowhere", {}, "no nowhere/open_clip_config.json, expected it there"),
    ("open_clip", "ViT-B-32/openai", {"seed": 4}, "got seed=4 without init=random, expected both"),
    ("timm", "vit_tny", {}, "timm has no model 'vit_tny' .did you mean 'vit_tiny'"),
    ("timm", "vit_tiny.a2", {}, "timm has no weights 'a2' for vit_tiny, expected one of a1, b2"),
    ("timm", "local-dir:w.pt", {}, "no config.json, expected it there"),
    ("timm", "vit_tiny", {"checkpoint": "no.pt"}, "no file no.pt, expected weights for vit_tiny"),
    ("timm", "vit_tiny", {"checkpoint": "w.pt", "init": "random"}, "got init=random and checkpoint=, expected one"),
    ("timm", "vit_tiny", {"test_size": "true", "img_size": 8}, "got test_size=true and img_size=, expected one of"),
    ("torchvision", "resnet81", {"init": "random"}, "no classification model 'resnet81' .did you mean 'resnet18'"),
    (
        "torchvision",
        "resnet18",
        {},
        "names no weights: expected weights=FILE, weights=TAG with TAG one of IMAGENET1K_V1",
    ),
    ("torchvision", "resnet18", {"weights": "w.pt", "init": "random"}, "got init=random and weights=, expected one"),
    ("torchvision", "resnet18", {"weights": "IMAGENET1K_V2"}, "no file IMAGENET1K_V2, expected a file or one of IMAGE"),
    ("torchvision", "resnet18", {"weights": "w.pt", "seed": 1}, "got seed=1 without init=random"),
    ("onnx", "no.onnx", {"mean": "0", "std": "1"}, "no file no.onnx, expected an ONNX model"),
    ("onnx", "model.onnx", {"mean": "0"}, "does not say how its images are normalised, expected mean=R,G,B and std="),
    ("onnx", "model.onnx", {"std": "0"}, "does not say how its images are normalised, expected mean=R,G,B and std="),
    ("onnx", "model.onnx", {"mean": "0", "std": "1", "text": "no"}, "no file no, expected weights for model.onnx"),
    ("onnx", "model.onnx", {"mean": "0", "std": "1", "text": "w.pt"}, "expected text=FILE and tokenizer=FOLDER togeth"),
    ("onnx", "model.onnx", {"mean": "0", "std": "1", "tokenizer": "tokenizer"}, "expected text=FILE and tokenizer=FOL"),
    ("onnx", "model.onnx", {"mean": "0", "std": "1", "text": "w.pt", "tokenizer": "w.pt"}, "no folder w.pt, expected"),
    ("python", "module", {}, "expected python:MODULE:FACTORY or python:FILE.py:FACTORY"),
    ("python", "module:", {}, "expected python:MODULE:FACTORY"),
    ("python", "no.py:make", {}, "no file no.py, expected a Python file"),
]


@pytest.mark.parametrize(("kind", "target", "options"), GOOD)
def test_what_may_be_right_is_not_refused(kind, target, options):
    check(kind, target, **options)


@pytest.mark.parametrize(("kind", "target", "options", "message"), BAD)
def test_what_is_wrong_is_one_sentence(kind, target, options, message):
    with pytest.raises(UserError, match=message) as caught:
        check(kind, target, **options)
    assert "\n" not in str(caught.value) and isinstance(caught.value, (ConfigError, CheckpointError))


def test_names_are_not_judged_where_no_list_can_be_read(monkeypatch):
    for name, nothing in (
        ("open_clip_architectures", []),
        ("open_clip_tags", {}),
        ("timm_models", {}),
        ("torchvision_models", {}),
    ):
        monkeypatch.setattr(checks, name, lambda nothing=nothing: nothing)
    check("open_clip", "any/tag")
    check("timm", "any.tag")
    check("torchvision", "any", weights="no.pt")


def test_a_checkpoints_folder_is_of_this_project(folder):
    for contents, message in (
        ({"architecture": "vit_tiny"}, "is of timm, expected timm:local-dir:mine$"),
        ({"model_cfg": {}}, "is of open_clip, expected open_clip:local-dir:mine$"),
        ({"vision": {}}, None),
    ):
        (folder / "mine").mkdir(exist_ok=True)
        (folder / "mine" / "config.json").write_text(json.dumps(contents))
        (folder / "mine" / "open_clip_config.json").unlink(missing_ok=True)
        if "architecture" not in contents:
            (folder / "mine" / "open_clip_config.json").touch()
        if message is None:
            checks.check_checkpoint(Spec("mine", "checkpoint", "mine", {}))
            continue
        with pytest.raises(CheckpointError, match=message):
            checks.check_checkpoint(Spec("mine", "checkpoint", "mine", {}))
    (folder / "mine" / "config.json").write_text("[]")
    (folder / "mine" / "open_clip_config.json").unlink()
    checks.check_checkpoint(Spec("mine", "checkpoint", "mine", {}))  # loading says what is wrong with the config
    assert checks.read_config(folder / "mine" / "config.json") == checks.read_config(folder / "no.json") == {}
    with pytest.raises(CheckpointError, match=r"no file or folder 'RN50', expected .* such as open_clip:RN50/TAG"):
        checks.check_checkpoint(Spec("RN50", "checkpoint", "RN50", {}))
