"""What the cases of other_models.py are made of: a small model in a folder, and the calls of its library."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import timm
import timm.data
import torch
import torchvision
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from torchvision.models.feature_extraction import create_feature_extractor

from benchmarks.encoder_matrix.case import Case, Expected

TINY_VIT: dict[str, Any] = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TINY_TEXT = {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.25], "interpolation": "bilinear", "resize_mode": "shortest"}

Images = Sequence[Image.Image]
Oracle = Callable[[Path, Images, Sequence[str]], Expected]


def randomised(model: Any) -> Any:
    """Every floating-point weight drawn anew, those that libraries start at zero or one too."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return model.eval().requires_grad_(False)


def save(model: Any, path: Path) -> None:
    """One safetensors file; tensors that share their numbers are written apart."""
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}, path)


def stacked(transform: Callable[[Image.Image], torch.Tensor], images: Images) -> torch.Tensor:
    """A batch of images that a transform brings to one size."""
    return torch.stack([transform(image) for image in images])


def trunk(name: str, pool: str, projection: str | None, size: int) -> dict[str, Any]:
    """open_clip's config of an image tower by timm."""
    named = {"timm_model_name": name, "timm_pool": pool, "timm_proj": projection}
    return {**named, "timm_model_pretrained": False, "image_size": size}


def clip(
    architecture: str, vision: dict[str, Any], embed_dim: int = 24, projected_by: str | None = None, **more: Any
) -> Case:
    """A folder as open_clip saves it. projected_by: the attribute of the image tower that holds its projection, without
    which open_clip gives the pooled feature."""

    def build(folder: Path) -> str:
        config = {"embed_dim": embed_dim, "vision_cfg": vision, "text_cfg": TINY_TEXT, **more}
        custom = {"custom_text": True} if "timm_model_name" in vision else {}
        document = {"model_cfg": {**config, **custom}, "preprocess_cfg": PREPROCESS}
        (folder / "open_clip_config.json").write_text(json.dumps(document))
        torch.manual_seed(0)
        model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
        save(randomised(model), folder / "open_clip_model.safetensors")
        return f"open_clip:local-dir:{folder}"

    def oracle(folder: Path, images: Images, texts: Sequence[str]) -> Expected:
        name = f"local-dir:{folder}"
        model, _, transform = open_clip.create_model_and_transforms(name)
        model.eval().requires_grad_(False)
        pixels = stacked(transform, images)
        layers = {"projected": model.encode_image(pixels)}
        if projected_by is not None:
            setattr(model.visual, projected_by, None)
            layers["penultimate"] = model.encode_image(pixels)
        return Expected(layers, pixels, model.encode_text(open_clip.get_tokenizer(name)(list(texts))))

    return Case(architecture, "open_clip", build, oracle)


def timm_model(architecture: str, name: str, token: bool = False, naflex: bool = False, **arguments: Any) -> Case:
    """A folder as timm saves it, of a model without a classifier. token: whether its authors evaluate the class token
    where timm gives the mean; naflex: whether images become patches by the NaFlex transform."""

    def build(folder: Path) -> str:
        torch.manual_seed(0)
        model = randomised(timm.create_model(name, num_classes=0, **arguments))
        save(model, folder / "model.safetensors")
        config = {key: value for key, value in model.pretrained_cfg.items() if key not in ("hf_hub_id", "url", "file")}
        if "img_size" in arguments:
            config["input_size"] = [3, arguments["img_size"], arguments["img_size"]]
        document = {"architecture": name, "num_classes": 0, "model_args": arguments, "pretrained_cfg": config}
        (folder / "config.json").write_text(json.dumps(document))
        return f"timm:local-dir:{folder}"

    def oracle(folder: Path, images: Images, texts: Sequence[str]) -> Expected:
        model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval().requires_grad_(False)
        config = timm.data.resolve_data_config({}, model=model)
        if naflex:
            return Expected({"penultimate": _naflex(model, config, images)})
        pixels = stacked(timm.data.create_transform(**config, is_training=False), images)
        pooled = model.forward_features(pixels)[:, 0] if token else model(pixels)
        return Expected({"penultimate": pooled}, pixels)

    return Case(architecture, "timm", build, oracle)


def _naflex(model: Any, config: dict[str, Any], images: Images) -> torch.Tensor:
    """Each image alone, so that nothing is padded."""
    settings = {"naflex": True, "patch_size": 16, "max_seq_len": 576, "patchify": True}
    transform = timm.data.create_transform(**config, is_training=False, **settings)
    return torch.cat([model({key: value[None] for key, value in transform(image).items()}) for image in images])


def torchvision_model(architecture: str, name: str, node: str) -> Case:
    """A state dict with the classifier. node: what torchvision calls the input of its last layer."""

    def build(folder: Path) -> str:
        torch.manual_seed(0)
        torch.save(randomised(torchvision.models.get_model(name, weights=None)).state_dict(), folder / "weights.pth")
        return f"torchvision:{name}?weights={folder / 'weights.pth'}&like=IMAGENET1K_V1"

    def oracle(folder: Path, images: Images, texts: Sequence[str]) -> Expected:
        model = torchvision.models.get_model(name, weights=None).eval().requires_grad_(False)
        model.load_state_dict(torch.load(folder / "weights.pth"))
        weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
        pixels = stacked(weights.transforms(), images)
        return Expected({"penultimate": create_feature_extractor(model, {node: "feature"})(pixels)["feature"]}, pixels)

    return Case(architecture, "torchvision", build, oracle)


def onnx_model(architecture: str, name: str) -> Case:
    """A timm model without its classifier, exported by PyTorch; PyTorch computes what is expected."""

    def model() -> Any:
        torch.manual_seed(0)
        return randomised(timm.create_model(name, num_classes=0))

    def build(folder: Path) -> str:
        names = {"input_names": ["pixels"], "output_names": ["pooled"]}
        batch = ({0: torch.export.Dim("batch")},)
        example = torch.zeros(2, 3, 160, 160)
        torch.onnx.export(
            model(), (example,), folder / "tower.onnx", dynamo=True, dynamic_shapes=batch, verbose=False, **names
        )
        return f"onnx:{folder / 'tower.onnx'}?mean=0.5,0.4,0.3&std=0.2,0.2,0.25&interpolation=bilinear"

    def oracle(folder: Path, images: Images, texts: Sequence[str]) -> Expected:
        transform = image_transform_v2(PreprocessCfg(size=160, **PREPROCESS), is_train=False)
        pixels = stacked(transform, images)
        return Expected({"penultimate": model()(pixels)}, pixels)

    return Case(architecture, "onnx", build, oracle)


def own_checkpoint(architecture: str, text: bool) -> Case:
    """A checkpoint of mlcd-train, and what open_clip or transformers computes for its export."""
    from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder, load_checkpoint, save_checkpoint
    from mlcd_train.export import export

    def build(folder: Path) -> str:
        shape = {"width": 32, "depth": 2, "heads": 2}
        tower = {**shape, "context_length": 16} if text else None
        config = CheckpointConfig.model_validate(
            {
                "vision": {**shape, "image_size": 32, "patch_size": 8, "positions": "absolute" if text else "rope2d"},
                "text": tower,
                "embed_dim": 24 if text else None,
                "preprocess": {"image_size": 32},
            }
        )
        torch.manual_seed(0)
        save_checkpoint(folder / "checkpoint", randomised(DualEncoder(config)))
        return str(folder / "checkpoint")

    def oracle(folder: Path, images: Images, texts: Sequence[str]) -> Expected:
        exported, format = folder / "exported", "open_clip" if text else "hf"
        export(load_checkpoint(folder / "checkpoint"), exported, format)
        return (_of_open_clip if text else _of_transformers)(exported, images, texts)

    return Case(architecture, "checkpoint", build, oracle)


def _of_open_clip(folder: Path, images: Images, texts: Sequence[str]) -> Expected:
    name = f"local-dir:{folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    model.eval().requires_grad_(False)
    pixels = stacked(transform, images)
    tokens = open_clip.get_tokenizer(name)(list(texts))
    return Expected({"projected": model.encode_image(pixels)}, pixels, model.encode_text(tokens))


def _of_transformers(folder: Path, images: Images, texts: Sequence[str]) -> Expected:
    import transformers

    model = transformers.AutoModel.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=list(images), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        return Expected({"penultimate": model(pixel_values=pixels).pooler_output}, pixels)
