"""Configs that ask for what no model has, or for code: refused in one sentence before anything is built."""

import json

import pytest
from fresh_python import printed

from mlcd_eval.encoders.bounds import check_images, check_model
from mlcd_eval.encoders.listings import open_clip_architectures
from mlcd_eval.encoders.registry import check_spec
from mlcd_eval.errors import CheckpointError

SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
PATCHES = {"image_size": 32, "patch_size": 8}
IMAGES = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}, "image_std": [0.5] * 3}
KERNEL = "somebody/kernel@main:function"


def folder_of(path, kind, change):
    """A folder of a kind with one thing changed, and the spec that names it. Its weights are 1 MB of zeros."""
    path.mkdir(parents=True)
    names = {"hf": "model", "open_clip": "open_clip_model"}
    (path / f"{names.get(kind, 'model')}.safetensors").write_bytes(bytes(1 << 20))
    if kind in ("hf", "vlm"):
        config = {"model_type": "clip_vision_model", "architectures": ["CLIPVisionModel"], **SHAPE, **PATCHES}
        images = IMAGES | {key: value for key, value in change.items() if key in IMAGES}
        (path / "config.json").write_text(json.dumps(config | change))
        (path / "preprocessor_config.json").write_text(json.dumps(images))
        return f"{kind}:{path}"
    if kind == "open_clip":
        vision = {"layers": 2, "width": 64, "head_width": 16, **PATCHES} | change
        text = {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1}
        config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
        images = {"std": change.get("std", [0.5] * 3), "size": change.get("size", 32)}
        (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": images}))
        return f"open_clip:local-dir:{path}"
    if kind == "timm":
        images = {"input_size": [3, 32, 32], "std": [0.5] * 3, "crop_pct": 0.9} | change
        config = {"architecture": "vit_tiny_patch16_224", "model_args": change, "pretrained_cfg": images}
        (path / "config.json").write_text(json.dumps(config))
        return f"timm:local-dir:{path}"
    vision = {"width": 64, "depth": 2, "heads": 4, **PATCHES} | change
    images = {"image_size": change.get("image_size", 32), "std": change.get("std", [0.5] * 3)}
    (path / "config.json").write_text(json.dumps({"format_version": 1, "vision": vision, "preprocess": images}))
    return str(path)


KINDS = ("hf", "vlm", "open_clip", "timm", "checkpoint")


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_that_models_have_is_accepted(tmp_path, kind):
    check_spec(folder_of(tmp_path / "m", kind, {}))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("hf", {"num_hidden_layers": 10**8}, "config.json has num_hidden_layers = 100,000,000, expected at most 1,000"),
        ("hf", {"num_hidden_layers": 10**400}, "has num_hidden_layers = inf, expected at most"),
        ("vlm", {"text_config": {"num_hidden_layers": 10**8}}, "has num_hidden_layers = 100,000,000"),
        ("open_clip", {"layers": 10**8}, "open_clip_config.json has layers = 100,000,000, expected at most"),
        ("open_clip", {"layers": [3, 10**8, 3]}, "has layers = 100,000,000"),
        ("timm", {"depth": 10**8}, "config.json has depth = 100,000,000"),
        ("checkpoint", {"depth": 10**8}, "config.json has depth = 100,000,000"),
        ("hf", {"size": {"shortest_edge": 10**6}}, "preprocessor_config.json has shortest_edge = 1,000,000, expected"),
        ("hf", {"crop_size": 10**6}, "has crop_size = 1,000,000, expected at most 16,384"),
        ("open_clip", {"size": 10**6}, "has size = 1,000,000"),
        ("timm", {"input_size": [3, 10**6, 10**6]}, "has input_size = 1,000,000"),
        ("timm", {"input_size": [3, 32, 32.5]}, r"has input_size = \[3, 32, 32\.5\], expected whole numbers from 1 on"),
        ("timm", {"input_size": [3, 32, 0]}, r"has input_size = \[3, 32, 0\], expected whole numbers from 1 on"),
        ("timm", {"crop_pct": 1e-6}, "has crop_pct = 1e-06"),
        ("checkpoint", {"image_size": 10**6}, "has image_size = 1,000,000"),
        ("hf", {"image_size": 16_384, "patch_size": 1}, "16384 pixels in patches of 1, expected fewer"),
        *((kind, {"std" if kind != "hf" else "image_std": [0.5, 0, 0.5]}, "std is .*expected numbers above 0")
          for kind in ("hf", "open_clip", "timm", "checkpoint")),
        ("hf", {"image_std": [float("nan")] * 3}, "expected numbers above 0"),
        ("hf", {"attn_implementation": KERNEL}, f"attn_implementation = '{KERNEL}', which is code on the hub"),
        ("vlm", {"_attn_implementation": {"text_config": KERNEL}}, "which is code on the hub"),
        ("hf", {"vision_config": {"experts_implementation": KERNEL}}, "which is code on the hub"),
        ("hf", {"hidden_size": 65_536, "num_hidden_layers": 100}, "at least 430,.* weights, .* 1,048,576 bytes"),
        ("open_clip", {"width": 65_536, "layers": 100}, "describes at least .* weights"),
        ("checkpoint", {"width": 65_536, "depth": 100}, "describes at least .* weights"),
    ],
)  # fmt: skip
def test_what_no_model_has_is_refused_from_the_config(tmp_path, kind, change, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        check_spec(folder_of(tmp_path / "m", kind, change))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["sdpa", "eager", "flash_attention_2", None, {"vision_config": "sdpa"}])
def test_what_transformers_has_itself_is_accepted(tmp_path, name):
    check_spec(folder_of(tmp_path / "m", "hf", {"attn_implementation": name}))


def test_edges_that_count_pixels_are_accepted():
    """Qwen2-VL's sides are areas (image_processing_qwen2_vl.py)."""
    size = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    check_images("x", {"size": size, "patch_size": 14, "merge_size": 2})
    with pytest.raises(CheckpointError, match="longest_edge"):
        check_images("x", {"size": size})
    check_images("x", {"max_pixels": 16_384**2})
    with pytest.raises(CheckpointError, match="has max_pixels = 268,435,457, expected at most 268,435,456"):
        check_images("x", {"max_pixels": 16_384**2 + 1})


@pytest.mark.parametrize(
    "spec",
    [
        "timm:vit_tiny_patch16_224?init=random&img_size=1000000",
        "onnx:{file}?mean=0,0,0&std=0,1,1",
        "onnx:{file}?mean=0,0,0&std=1,1,1&image_size=1000000",
    ],
)
def test_the_same_holds_for_a_specs_own_options(tmp_path, spec):
    (tmp_path / "m.onnx").touch()
    with pytest.raises(CheckpointError, match="expected"):
        check_spec(spec.format(file=tmp_path / "m.onnx"))


def test_every_architecture_of_open_clip_is_within_the_bounds():
    from importlib.util import find_spec
    from pathlib import Path

    folder = Path(find_spec("open_clip").origin).parent / "model_configs"
    assert len(open_clip_architectures()) > 100
    for path in folder.glob("*.json"):
        check_model(path.name, json.loads(path.read_text()))


def test_refusing_imports_no_model_library(tmp_path):
    spec = folder_of(tmp_path / "m", "hf", {"num_hidden_layers": 10**8})
    code = (
        "import sys\nfrom mlcd_eval.encoders.registry import check_spec\n"
        f"try:\n    check_spec({spec!r})\nexcept Exception as error:\n    print(error)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    assert "expected at most 1,000" in printed(code)
