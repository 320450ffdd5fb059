"""Specs: what they mean, and what is said of a mistake before anything is loaded."""

import subprocess
import sys

import pytest
import torch

from mlcd_eval.encoders.registry import check_spec, load_encoder, model_name, named, parse
from mlcd_eval.encoders.weights import as_checkpoint_error
from mlcd_eval.errors import CheckpointError, ConfigError


def test_importing_the_registry_does_not_import_torch():
    check = "import sys, mlcd_eval.encoders.registry as r; r.check_spec('open_clip:ViT-B-32/openai')"
    subprocess.run([sys.executable, "-c", f"{check}; assert 'torch' not in sys.modules"], check=True)


NAMES = {
    "open_clip:local-dir:../models/tiny_clip": "tiny_clip",
    "open_clip:ViT-B-32/laion2b_s34b_b79k": "ViT-B-32_laion2b_s34b_b79k",
    "open_clip:ViT-B-32?init=random&seed=3": "ViT-B-32_random_seed3",
    "open_clip:hf-hub:laion/CLIP-x": "CLIP-x",
    "hf:DeepGlint-AI/mlcd-vit-large-patch14-336": "mlcd-vit-large-patch14-336",
    "timm:vit_tiny_patch16_224": "vit_tiny_patch16_224",
    "timm:resnet10t?checkpoint=runs/a.pth&img_size=96": "resnet10t_a_96px",
    "runs/my model": "my_model",
    "python:a.b:make": "a.b_make",
    "python:a.b:make?checkpoint=runs/last.pt&width=8": "a.b_make_checkpoint_last.pt_width_8",
}


@pytest.mark.parametrize(("spec", "name"), NAMES.items())
def test_names_are_short_and_safe_as_folders(spec, name):
    assert model_name(spec) == name
    assert named(spec) == (name, spec)
    assert named(f"mine-1.0={spec}") == ("mine-1.0", spec)


def test_a_path_with_an_equals_sign_is_a_path_if_it_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named("lr=0.1") == ("lr", "0.1")
    (tmp_path / "lr=0.1").mkdir()
    assert named("lr=0.1") == ("lr_0.1", "lr=0.1")


@pytest.mark.parametrize(
    "name", ["", ".hidden", "..", "a/b", "../a", "samples", "submissions", "a b", "é", "-x", "a\n"]
)
def test_a_name_that_cannot_be_a_folder_of_records_is_refused(name):
    with pytest.raises(ConfigError, match=r"a model's name is .*, expected letters, digits and any of"):
        named(f"{name}=hf:x/y")
    with pytest.raises(ConfigError, match="expected a spec after the name, as in a=hf:PATH"):
        named("a=")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("openclip:ViT-B-32/openai", ConfigError, r"got 'openclip:ViT-B-32/openai'.*did you mean 'open_clip'"),
        ("open_clip:ViT-B-23/openai", ConfigError, r"no architecture 'ViT-B-23'.*did you mean 'ViT-B-32'"),
        ("open_clip:ViT-B-32?init=zero", ConfigError, r"got option init=zero"),
        ("open_clip:ViT-B-32?sed=1", ConfigError, r"got option sed=1.*did you mean 'seed'"),
        ("open_clip:local-dir:/nowhere", CheckpointError, r"no /nowhere/open_clip_config\.json"),
        ("hf:/nowhere", CheckpointError, r"no folder /nowhere"),
        ("nowhere", CheckpointError, r"no file or folder 'nowhere'"),
        ("python:module", ConfigError, r"expected python:MODULE:FACTORY"),
    ],
)
def test_a_wrong_spec_is_one_sentence(spec, error, message):
    with pytest.raises(error, match=message) as caught:
        check_spec(spec)
    assert "\n" not in str(caught.value)


def test_a_folder_of_open_clip_gets_its_spec_in_the_message(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=f"is of open_clip, expected open_clip:local-dir:{tmp_path}$"):
        check_spec(str(tmp_path))
    check_spec(f"open_clip:local-dir:{tmp_path}")


def test_a_librarys_long_error_is_cut_between_words():
    def load(_):
        raise ValueError("a size mismatch\n" * 50)

    with pytest.raises(CheckpointError, match=r"cannot be loaded: a size mismatch .* (a|size|mismatch) \.\.\.$"):
        as_checkpoint_error(load)(parse("timm:test_vit"))


FACTORY = """
import torch
from mlcd_eval.encoders.base import Encoder, EncoderInfo
class Mine(Encoder):
    info = EncoderInfo("", "", "0" * 64, "none", {"penultimate": 1}, (8, 8), 0, False)
    preprocess = staticmethod(lambda image: torch.zeros(3, 8, 8))
    def encode_images(self, pixels, layers):
        return {layer: pixels.mean((1, 2, 3))[:, None] for layer in layers}
def make():
    return Mine()
def wrong():
    return 3
"""


def test_a_python_factory_is_called_from_a_file_or_a_module(tmp_path, monkeypatch):
    path = tmp_path / "my_encoders.py"
    path.write_text(FACTORY)
    encoder = load_encoder(f"python:{path}:make")
    assert encoder.encode_images(torch.ones(2, 3, 8, 8), ["penultimate"])["penultimate"].tolist() == [[1.0], [1.0]]
    monkeypatch.syspath_prepend(tmp_path)
    assert load_encoder("python:my_encoders:make").info.name == "my_encoders_make"
    with pytest.raises(ConfigError, match=r"my_encoders has no 'mak' \(did you mean 'make'\?\)"):
        load_encoder("python:my_encoders:mak")
    with pytest.raises(ConfigError, match="wrong returned int, expected a mlcd_eval Encoder"):
        load_encoder("python:my_encoders:wrong")
    with pytest.raises(ConfigError, match="no module 'my_encodings'"):
        load_encoder("python:my_encodings:make")


ENCODER = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from beside import WIDTH
from mlcd_eval.encoders.base import Encoder, EncoderInfo

@dataclass
class Settings:
    width: int | None = WIDTH

class Mine(Encoder):
    info = EncoderInfo("", "", "w" * 64, "none", {"penultimate": Settings().width}, (8, 8), 0, False)

def make():
    return Mine()

def needs(what, width="4"):
    encoder = Mine()
    encoder.weights = torch.full((1,), float(width))
    encoder.what = what
    return encoder

def bare():
    return Encoder()
"""


def test_a_file_may_have_dataclasses_and_imports_from_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text("WIDTH = 4")
    (tmp_path / "timm.py").write_text(ENCODER)
    spec = f"python:{tmp_path}/timm.py:make"
    first = load_encoder(spec).info
    assert first.layers == {"penultimate": 4} and load_encoder(spec).info == first
    (tmp_path / "timm.py").write_text(ENCODER + "# other code, other features")
    assert load_encoder(spec).info.fingerprint != first.fingerprint
    with pytest.raises(ConfigError, match=r"needs cannot be called without arguments \(missing .* 'what'\)"):
        load_encoder(f"python:{tmp_path}/timm.py:needs")
    with pytest.raises(ConfigError, match=r"needs cannot be called with waht .*did you mean 'what'"):
        load_encoder(f"python:{tmp_path}/timm.py:needs?waht=x")
    spec = f"python:{tmp_path}/timm.py:needs?what=runs/a.pt&width=2"
    encoder = load_encoder(spec)
    assert (encoder.what, encoder.weights.item(), encoder.info.spec) == ("runs/a.pt", 2.0, spec)
    assert load_encoder(spec.replace("width=2", "width=3")).info.fingerprint != encoder.info.fingerprint
    with pytest.raises(ConfigError, match="bare returned an Encoder without `info`, expected an EncoderInfo in it"):
        load_encoder(f"python:{tmp_path}/timm.py:bare")
