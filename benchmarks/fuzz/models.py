"""Readers of --model."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import open_clip
import timm
import torch
import transformers
from reader import SHAPE, TOWER, Reader, use
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.state_dicts import read_state_dict
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import CheckpointError
from mlcd_eval.support.foreign import reading
from mlcd_train.fit import new_model


def model_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --model for folders and files."""
    shape = CheckpointConfig(vision=TOWER, preprocess=Preprocess(image_size=16))
    save_checkpoint(folder / "checkpoint", new_model(shape, 0, torch.device("cpu")))
    for path in sorted((folder / "checkpoint").iterdir()):
        yield Reader(f"checkpoint {path.name}", path, lambda path: use(str(path.parent)))

    vision = {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip").mkdir()
    (folder / "open_clip" / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "size": 16}})
    )
    weights = open_clip.CLIP(16, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text)).state_dict()
    for kind, save in (("safetensors", save_file), ("bin", torch.save)):
        shutil.copytree(folder / "open_clip", folder / f"open_clip_{kind}")
        save(weights, folder / f"open_clip_{kind}" / f"open_clip_model.{kind}")
        for path in sorted((folder / f"open_clip_{kind}").iterdir())[kind == "bin" :]:
            yield Reader(
                f"open_clip {path.name}", path, lambda path: use(f"open_clip:local-dir:{path.parent}"), slow=True
            )

    clip = transformers.CLIPConfig(
        text_config={**SHAPE, "vocab_size": 6, "max_position_embeddings": 8},
        vision_config={**SHAPE, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(clip).save_pretrained(folder / "hf")
    crop = {"height": 16, "width": 16}
    transformers.CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=crop).save_pretrained(folder / "hf")
    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "a", "photo", "of", "A"])}
    inner = Tokenizer(WordLevel(words, "[UNK]"))
    inner.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder / "hf")
    for path in sorted((folder / "hf").iterdir()):
        if path.suffix in (".json", ".safetensors"):
            yield Reader(f"hf {path.name}", path, lambda path: use(f"hf:{path.parent}"), slow=True)

    torch.save(timm.create_model("test_vit").state_dict(), folder / "timm.pth")
    yield Reader(
        "timm pth", folder / "timm.pth", lambda path: load_encoder(f"timm:test_vit?checkpoint={path}"), "zip", slow=True
    )
    save_file(timm.create_model("test_vit").state_dict(), folder / "timm.safetensors")
    yield Reader(
        "timm safetensors",
        folder / "timm.safetensors",
        lambda path: load_encoder(f"timm:test_vit?checkpoint={path}"),
        slow=True,
    )
    (folder / "timm").mkdir()
    shutil.copy(folder / "timm.safetensors", folder / "timm" / "model.safetensors")
    images = {"input_size": [3, 160, 160], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.95, "num_classes": 1000}
    config = {"architecture": "test_vit", "num_classes": 1000, "pretrained_cfg": images}
    (folder / "timm" / "config.json").write_text(json.dumps(config))
    yield Reader(
        "timm config.json",
        folder / "timm" / "config.json",
        lambda path: use(f"timm:local-dir:{path.parent}"),
        slow=True,
    )

    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["pixels", "kernel"], ["map"], strides=[4, 4]),
        node("GlobalAveragePool", ["map"], ["mean"]),
        node("Flatten", ["mean"], ["embeds"]),
    ]
    kernel = onnx.numpy_helper.from_array(np.ones((6, 3, 4, 4), np.float32), "kernel")
    infos = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in
             (("pixels", ["b", 3, 16, 16]), ("embeds", ["b", 6]))]  # fmt: skip
    graph = onnx.helper.make_graph(nodes, "g", infos[:1], infos[1:], [kernel])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "m.onnx")
    yield Reader("onnx", folder / "m.onnx", lambda path: use(f"onnx:{path}?mean=0,0,0&std=1,1,1"), slow=True)

    torch.jit.script(torch.nn.Linear(3, 2)).save(str(folder / "script.pt"))
    yield Reader("torchscript", folder / "script.pt", explained_state_dict, "zip")
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict(), "epoch": 3}, folder / "weights.pth")
    yield Reader("state dict pth", folder / "weights.pth", explained_state_dict, "zip")
    torch.save(torch.nn.Linear(3, 2).state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    yield Reader("state dict of old PyTorch", folder / "old.pth", explained_state_dict, "bytes")


def explained_state_dict(path: Path) -> Any:
    """A file of weights as every adapter reads it."""
    with reading(f"--model {path} cannot be loaded", CheckpointError):
        return read_state_dict(path)
