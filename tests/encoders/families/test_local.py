"""What a folder of transformers says before anything of it is loaded."""

import json
import subprocess
import sys

import pytest

from mlcd_eval.encoders.families.local import has_text
from mlcd_eval.encoders.registry import check_spec, parse
from mlcd_eval.errors import CheckpointError, ConfigError, IncompatibleError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip", "architectures": ["SiglipModel"]}))
    for name in ("model.safetensors", "preprocessor_config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_a_folder_is_checked_without_a_model_library(folder):
    check = f"import sys; from mlcd_eval.encoders.registry import check_spec; check_spec('hf:{folder}')"
    subprocess.run(
        [sys.executable, "-c", f"{check}; assert not {{'torch', 'transformers'}} & set(sys.modules)"], check=True
    )


@pytest.mark.parametrize(
    ("missing", "error", "message"),
    [
        ("config.json", CheckpointError, r"no config\.json in .*, expected that of a transformers model$"),
        ("model.safetensors", CheckpointError, r"no weights in .*, expected model\.safetensors$"),
        ("preprocessor_config.json", ConfigError, r"has no preprocessor_config\.json: got no image_size, mean, std"),
    ],
)
def test_what_a_folder_lacks_is_named(folder, missing, error, message):
    check_spec(f"hf:{folder}")
    (folder / missing).unlink()
    with pytest.raises(error, match=message):
        check_spec(f"hf:{folder}")


def test_shards_that_are_missing_are_counted(folder):
    (folder / "model.safetensors").rename(folder / "model-00002-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(CheckpointError, match=r"1 of 2 files of weights are missing in .*, first model-00001-of-00002"):
        check_spec(f"hf:{folder}")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_config_that_is_no_config(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json (is no JSON|holds no JSON object)"):
        check_spec(f"hf:{folder}")


def test_an_unknown_class_is_refused_before_weights_are_read(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    with pytest.raises(IncompatibleError, match="got architecture BertModel"):
        check_spec(f"hf:{folder}")


def test_whether_there_is_a_text_tower(folder):
    assert has_text(parse(f"hf:{folder}")) is True
    (folder / "tokenizer.json").unlink()
    assert has_text(parse(f"hf:{folder}")) is False
    (folder / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    assert has_text(parse(f"hf:{folder}")) is False
    assert has_text(parse("hf:org/name")) is None
