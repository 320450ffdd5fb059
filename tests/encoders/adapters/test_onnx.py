"""ONNX files against the arithmetic that they describe."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mlcd_eval.encoders.registry import check_spec, load_encoder
from mlcd_eval.errors import CheckpointError, ConfigError, IncompatibleError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
H = onnx.helper
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
KERNEL = np.random.default_rng(0).normal(size=(6, 3, 4, 4)).astype(np.float32)
VECTORS = np.random.default_rng(1).normal(size=(12, 6)).astype(np.float32)
OPTIONS = "mean=0.5,0.4,0.3&std=0.2,0.2,0.25"


def write(path, nodes, inputs, outputs, **weights):
    initialisers = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = H.make_graph(nodes, "g", inputs, outputs, initialisers)
    onnx.save(H.make_model(graph, opset_imports=[H.make_opsetid("", 17)], ir_version=8), path)
    return path


def image_tower(path, shape=("b", 3, 16, 16), tokens=False):
    """Patches of 4 x 4 pixels by a convolution; their mean, or tokens (B, 16, 6) alone."""
    convolution = H.make_node("Conv", ["pixels", "kernel"], ["map"], strides=[4, 4])
    rest = [H.make_node("GlobalAveragePool", ["map"], ["mean"]), H.make_node("Flatten", ["mean"], ["embeds"])]
    names = {"embeds": ["b", 6], "map": ["b", 6, "h", "w"]}
    weights = {"kernel": KERNEL}
    if tokens:
        rest = [
            H.make_node("Reshape", ["map", "shape"], ["flat"]),
            H.make_node("Transpose", ["flat"], ["t"], perm=[0, 2, 1]),
        ]
        names, weights = {"t": ["b", 16, 6]}, {**weights, "shape": np.array([0, 6, 16])}
    outputs = [H.make_tensor_value_info(name, FLOAT, dims) for name, dims in names.items()]
    return write(path, [convolution, *rest], [H.make_tensor_value_info("pixels", FLOAT, shape)], outputs, **weights)


def text_tower(path):
    """The mean of the tokens' vectors."""
    nodes = [
        H.make_node("Gather", ["vectors", "input_ids"], ["all"]),
        H.make_node("ReduceMean", ["all"], ["text_embeds"], axes=[1], keepdims=0),
    ]
    inputs = [H.make_tensor_value_info("input_ids", INT64, ["b", 5])]
    return write(path, nodes, inputs, [H.make_tensor_value_info("text_embeds", FLOAT, ["b", 6])], vectors=VECTORS)


def tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "a", "cat", "two", "dogs"])}
    inner = Tokenizer(models.WordLevel(words, "[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


def patches(pixels):
    return torch.nn.functional.conv2d(pixels, torch.from_numpy(KERNEL), stride=4)


def test_layers_are_those_of_the_graph(tmp_path):
    path = image_tower(tmp_path / "tower.onnx")
    encoder = load_encoder(f"onnx:{path}?{OPTIONS}")
    image = Image.effect_mandelbrot((40, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    pixels = encoder.preprocess(image)[None]
    small = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC), np.float32) / 255
    right = (small - np.float32([0.5, 0.4, 0.3])) / np.float32([0.2, 0.2, 0.25])
    np.testing.assert_allclose(pixels[0], right.transpose(2, 0, 1), atol=1e-5)
    ours = encoder.encode_images(pixels, ["penultimate", "patches"])
    torch.testing.assert_close(ours["penultimate"], patches(pixels).mean((2, 3)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours["patches"], patches(pixels).permute(0, 2, 3, 1), rtol=1e-5, atol=1e-5)
    assert encoder.info.num_params == KERNEL.size
    assert encoder.info.name == "tower_mean_0.5_0.4_0.3_std_0.2_0.2_0.25"
    assert encoder.info.layers == {"penultimate": 6, "patches": 6}


def test_a_batch_of_fixed_size_is_filled_up(tmp_path):
    encoder = load_encoder(f"onnx:{image_tower(tmp_path / 't.onnx', shape=(2, 3, 16, 16))}?{OPTIONS}")
    pixels = torch.randn(5, 3, 16, 16)
    ours = encoder.encode_images(pixels, ["penultimate"])["penultimate"]
    torch.testing.assert_close(ours, patches(pixels).mean((2, 3)), rtol=1e-5, atol=1e-5)


def test_tokens_need_a_pooling(tmp_path):
    path = image_tower(tmp_path / "t.onnx", tokens=True)
    with pytest.raises(ConfigError, match=r"gives no \(B, D\): got outputs t, expected \?global_pool=token or avg"):
        load_encoder(f"onnx:{path}?{OPTIONS}")
    encoder = load_encoder(f"onnx:{path}?{OPTIONS}&global_pool=avg")
    pixels = torch.randn(2, 3, 16, 16)
    ours = encoder.encode_images(pixels, ["penultimate"])["penultimate"]
    torch.testing.assert_close(ours, patches(pixels).mean((2, 3)), rtol=1e-5, atol=1e-5)
    assert encoder.info.extra["pooling"] == "avg"


def test_texts(tmp_path):
    path, text = image_tower(tmp_path / "t.onnx"), text_tower(tmp_path / "text.onnx")
    encoder = load_encoder(f"onnx:{path}?{OPTIONS}&text={text}&tokenizer={tokenizer(tmp_path / 'tokenizer')}")
    ids = np.array([[2, 3, 0, 0, 0], [4, 5, 0, 0, 0]])
    torch.testing.assert_close(encoder.encode_texts(["a cat", "two dogs"]), torch.from_numpy(VECTORS[ids].mean(1)))
    assert encoder.info.has_text and "projected" in encoder.info.layers
    assert encoder.info.num_params == KERNEL.size + VECTORS.size
    without = load_encoder(f"onnx:{path}?{OPTIONS}")
    with pytest.raises(IncompatibleError, match="no text tower"):
        without.encode_texts(["a cat"])


def test_mistakes_are_one_sentence(tmp_path):
    path = image_tower(tmp_path / "t.onnx", shape=("b", 3, "h", "w"))
    for options, error, message in (
        ("", ConfigError, r"does not say how its images are normalised, expected mean=R,G,B and std=R,G,B$"),
        (f"?{OPTIONS}&tokenizer=.", ConfigError, r"expected text=FILE and tokenizer=FOLDER together$"),
        (f"?{OPTIONS}&text=no.onnx&tokenizer=.", CheckpointError, r"no file no.onnx"),
    ):
        with pytest.raises(error, match=message):
            check_spec(f"onnx:{path}{options}")
    with pytest.raises(ConfigError, match=r"takes images of any size, expected \?image_size=N"):
        load_encoder(f"onnx:{path}?{OPTIONS}")
    assert load_encoder(f"onnx:{path}?{OPTIONS}&image_size=32").info.image_size == (32, 32)
    with pytest.raises(IncompatibleError, match=r"takes input_ids tensor\(int64\) .*, expected one input of images"):
        load_encoder(f"onnx:{text_tower(tmp_path / 'text.onnx')}?{OPTIONS}")
    path.write_bytes(json.dumps({}).encode())
    with pytest.raises(CheckpointError, match="cannot be loaded by ONNX Runtime"):
        load_encoder(f"onnx:{path}?{OPTIONS}")
