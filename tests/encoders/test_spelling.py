"""What a word that is no spec was meant to be, and where a spec's target is."""

from pathlib import Path

import pytest

from mlcd_eval.encoders.places import Place, files_below, folder_or_repository, listed, local, prefixed, pretrained_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.spelling import likely_kind, likely_specs, several_specs

ARCHITECTURES = ["ViT-B-32", "RN50", "ViT-L-14"]


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("runs/a.pt", ["open_clip:ARCHITECTURE/runs/a.pt", "timm:NAME?checkpoint=runs/a.pt"]),
        ("a.safetensors", ["open_clip:ARCHITECTURE/a.safetensors", "timm:NAME?checkpoint=a.safetensors"]),
        ("vit-b-32", ["open_clip:ViT-B-32/TAG"]),
        ("RN50/openai", ["open_clip:RN50/openai"]),
        ("ViT-L/14", ["open_clip:ViT-L-14/openai"]),
        ("openai/clip-vit-base-patch32", ["hf:openai/clip-vit-base-patch32"]),
        ("resnet50.a1_in1k", ["timm:resnet50.a1_in1k"]),
        ("vit_base_patch16_224", ["timm:vit_base_patch16_224"]),
        ("A/B/C", ["hf:A/B/C"]),
        ("My-Model", ["hf:My-Model"]),
        ("/nowhere", ["hf:/nowhere"]),
    ],
)
def test_the_likely_specs_of_a_word(text, specs):
    assert likely_specs(text, ARCHITECTURES) == specs


def test_the_likely_kind_of_a_spec():
    for text, meant in {
        "https://huggingface.co/org/name/": "hf:org/name",
        "transformers:org/name": "hf:org/name",
        "clip:ViT-B-32/openai": "open_clip:ViT-B-32/openai",
        "file:a.py:make": "python:a.py:make",
    }.items():
        assert likely_kind(text) == f" (did you mean {meant!r}?)"
    assert likely_kind("zzz:x") == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a, b", ["a", "b"]),
        ("hf:a,timm:b", ["hf:a", "timm:b"]),
        ("a,hf:b", ["a", "hf:b"]),
        ("hf:a,b", []),
        ("onnx:a?mean=0,0,0", []),
        ("a?mean=0,0,0", []),
        ("a", []),
    ],
)
def test_several_specs_in_one_word(text, parts):
    assert several_specs(text, ["hf", "timm", "onnx"]) == parts


def test_a_target_is_a_path_a_repository_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    assert listed("x") == Place() and local("x") == Place(path=Path("x"))
    assert prefixed("local-dir:a/b") == Place(path=Path("a/b")) and prefixed("ViT-B-32/openai") == Place()
    assert prefixed("hf-hub:a/b") == prefixed("hf_hub:a/b") == Place(repository="a/b")
    assert folder_or_repository("org") == Place(path=Path("org")) and folder_or_repository("o") == Place(repository="o")
    assert [folder_or_repository(text).path for text in ("./x", "/x")] == [Path("x"), Path("/x")]
    assert folder_or_repository("~/x").path == Path.home() / "x"
    assert pretrained_name("org") == "org" and pretrained_name("a/b") == "a/b" and pretrained_name("/x") == "/x"
    (tmp_path / "org" / "deep").mkdir()
    (tmp_path / "org" / "deep" / "b").touch()
    (tmp_path / "org" / "a").touch()
    assert files_below(tmp_path / "org") == [tmp_path / "org" / "a", tmp_path / "org" / "deep" / "b"]
    assert files_below(None) == []


@pytest.mark.parametrize(
    ("options", "seed", "provenance"),
    [
        ({}, None, {}),
        ({"seed": "3"}, None, {}),
        ({"init": "random"}, 0, {"weights": "random, seed 0"}),
        ({"init": "random", "seed": "3"}, 3, {"weights": "random, seed 3"}),
    ],
)
def test_random_weights_are_named_by_their_seed(options, seed, provenance):
    spec = Spec("x", "timm", "x", options)
    assert (spec.random_seed, spec.provenance) == (seed, provenance)
    assert not spec.trust_remote_code and not spec.offline
