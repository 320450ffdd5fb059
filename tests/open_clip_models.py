"""Small open_clip models: their configs, a folder of one, and an architecture with published weights."""

import json

import open_clip
import torch
from safetensors.torch import save_file

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
VISION = {
    "vit": VIT,
    "vit_average_pool": {**VIT, "pool_type": "avg", "final_ln_after_pool": True},
    "resnet": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
    "siglip": {
        "image_size": 32,
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": "none",
    },
    "timm_linear": {
        "image_size": 32,
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
    },
}


def local_dir(folder, vision, embed_dim=24):
    config = {"embed_dim": embed_dim, "vision_cfg": vision, "text_cfg": TEXT}
    if "timm_model_name" in vision:
        config["embed_dim"] = 192 if vision["timm_proj"] == "none" else embed_dim
        config["custom_text"] = True
        config["vision_cfg"] = {**vision, "image_size": 224}
    folder.mkdir()
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**config_args(config)) if config.get("custom_text") else open_clip.CLIP(**config)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return f"open_clip:local-dir:{folder}"


def config_args(config):
    return {key: value for key, value in config.items() if key != "custom_text"}
